//! The checks by name: what programs may rely on, and what docs/doctor.md says of each.

use std::fmt::Write;

macro_rules! checks {
    ($($(#[doc = $about:literal])+ $name:ident = $id:literal in $place:ident;)+) => {
        /// One thing that the doctor looks at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Check {
            $($(#[doc = $about])+ $name,)+
        }

        impl Check {
            /// Every check, in the order in which they are made.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in both forms of the output; never changes.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// From where it is made.
            #[must_use]
            pub fn place(self) -> Place {
                match self {
                    $(Self::$name => Place::$place,)+
                }
            }

            /// What it finds out.
            #[must_use]
            pub fn about(self) -> String {
                let lines: &[&str] = match self {
                    $(Self::$name => &[$($about),+],)+
                };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }
        }
    };
}

/// From where a check is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the machine of the server.
    Here,
    /// From outside, with `--url`.
    Outside,
}

checks! {
    /// Flags, environment and file: everything that is wrong with them.
    Configuration = "configuration" in Here;
    /// The data directory is there or can be made, belongs to the user who runs this, and nobody else reads it.
    DataDirectory = "data-directory" in Here;
    /// Room on the disk, in bytes and in inodes.
    FreeSpace = "free-space" in Here;
    /// Keys and passwords on this machine are long enough, and only the server's user can read them.
    Secrets = "secrets" in Here;
    /// The database is there, answers, and holds a log.
    Database = "database" in Here;
    /// Its tables are those of this version.
    Migrations = "migrations" in Here;
    /// Its file is whole (SQLite: `PRAGMA quick_check`, which reads all of it).
    Integrity = "integrity" in Here;
    /// What a receipt promises, and whether the database is set so that it can keep the promise.
    Durability = "durability" in Here;
    /// How long twenty small writes take until the disk says that it has them: implausibly fast is a disk
    /// that lies or memory, slow is slow for every publisher.
    DiskSync = "disk-sync" in Here;
    /// The clock is plausible, does not jump, and agrees with the database and with the newest message.
    Clock = "clock" in Here;
    /// The limit on open files allows the streams that are wanted.
    OpenFiles = "open-files" in Here;
    /// What the kernel allows in connections: accept queue, connection tracking, ports.
    Kernel = "kernel" in Here;
    /// Memory for the streams that are wanted.
    Memory = "memory" in Here;
    /// The address is free, or Santral in this version answers there.
    Listen = "listen" in Here;

    /// The name in the URL has addresses.
    Name = "name" in Outside;
    /// Each of the addresses takes connections.
    Connect = "connect" in Outside;
    /// The certificate holds for the name, is in date, and comes from an issuer that is trusted.
    Tls = "tls" in Outside;
    /// The URL is the final one. A redirect costs a round trip, and a `POST` does not survive it.
    Redirect = "redirect" in Outside;
    /// Santral answers at this URL, and not a proxy, a login page or another server.
    Identity = "identity" in Outside;
    /// Whether everybody may do everything there.
    Open = "open" in Outside;
    /// Answers come in HTTP/1.1.
    HttpVersion = "http-version" in Outside;
    /// No cache on the way answers in the server's place, polls included.
    Cache = "cache" in Outside;
    /// With `--token`: the header `Authorization` reaches the server, and the token is good.
    Authorization = "authorization" in Outside;
    /// The server knows its clients' addresses and not only that of the proxy.
    ClientAddress = "client-address" in Outside;
    /// A stream opens and its first event comes at once, so nothing on the way waits for more.
    Stream = "stream" in Outside;
    /// The head of a stream arrives as the server wrote it.
    StreamHeaders = "stream-headers" in Outside;
    /// Nobody compresses a stream on the way.
    Compression = "compression" in Outside;
    /// A message that is published there arrives there, and how fast. It is volatile and goes to a channel
    /// with a random name that nobody else follows.
    RoundTrip = "round-trip" in Outside;
    /// The server's clock agrees with that of this machine.
    ServerClock = "server-clock" in Outside;
    /// The handshake of a WebSocket gets through: nobody on the way takes the header `Upgrade` out.
    WebSocket = "websocket" in Outside;
    /// A long poll is held until there is something, and then answered at once.
    Poll = "poll" in Outside;
    /// The path `/socket.io/` leads to Santral as well.
    SocketIo = "socket-io" in Outside;
    /// With `--origin`: a page of that origin may read and publish.
    Cors = "cors" in Outside;
    /// A stream on which nothing happens stays open, and its pings arrive.
    Idle = "idle" in Outside;
}

/// The text of docs/doctor.md, which a test keeps fresh.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (title, place) in [("On the machine of the server", Place::Here), ("From outside", Place::Outside)] {
        let checks = Check::ALL.iter().filter(|check| check.place() == place);
        let rows: String = checks.fold(String::new(), |mut rows, check| {
            writeln!(rows, "| `{}` | {} |", check.id(), check.about()).expect("writing to a string cannot fail");
            rows
        });
        write!(text, "\n## {title}\n\n| check | what it finds out |\n|---|---|\n{rows}")
            .expect("writing to a string cannot fail");
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Generated from src/doctor/check.rs. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it doctor -->

# santral doctor

`santral doctor` looks at everything that a server on this machine needs, before or while it runs. Run it as
the server's user, with the same flags, environment and file. It changes nothing: a scratch file, by which it
measures the disk, is deleted again.

`santral doctor --url https://example.org` looks at the public address from outside, by the way that clients
take. Run it from another machine than the server's, best from where clients are. It needs no configuration.

| flag | |
|---|---|
| `--json` | one JSON document instead of text: `{\"failed\":…,\"findings\":[{\"check\",\"outcome\",\"found\",\"remedy\"}]}` |
| `--url URL` | look at this address, with the path under which Santral is served, if it is not `/` |
| `--token TOKEN`, `--token-file FILE` | follow and publish with this token; `-` reads it from standard input. Other users of the machine can see flags, so prefer a file |
| `--origin ORIGIN` | also check that pages of this origin are let in |
| `--idle SECONDS` | how long to watch a silent stream, by default 35; 0 leaves it out |
| `--timeout SECONDS` | how long to wait for each answer, by default 5 |
| `--ca-file FILE` | trust the certificates in this PEM file instead of those of the machine |

Each check says `ok`, `warn`, `FAIL` or `skip`, what was found, and what to do about it. The exit code is 0 when
nothing failed, else 1; a warning is no failure. In JSON the outcomes are `ok`, `warn`, `fail` and `skipped`. New
checks may join; their names stay.

Proxies from the environment (`https_proxy`) are not used: the doctor wants to see the way itself. It speaks
HTTP/1.1, so what a proxy does to HTTP/2 only is not seen.
";

//! Configuration and command line, with the real binary: sources, complaints, exit codes, secrets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

/// The binary in a folder of its own, with an environment of its own.
struct Santral {
    folder: TempDir,
    command: Command,
}

impl Santral {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_santral"));
        command.args(arguments).env_clear().current_dir(folder.path()).stdin(Stdio::null());
        Self { folder, command }
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).expect("a file in a temporary folder");
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn run(mut self) -> Outcome {
        let Output { status, stdout, stderr } = self.command.output().expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Outcome { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn line(&self, key: &str) -> Vec<&str> {
        let line = self.stdout.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no line for {key} in {self:?}")).split_whitespace().skip(1).collect()
    }

    fn refuses(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in {self:?}");
        }
    }
}

#[test]
fn without_configuration_it_would_listen_on_this_machine_only() {
    let outcome = Santral::new(&["check-config"]).run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for (key, value) in [
        ("listen", "127.0.0.1:8080"),
        ("data_dir", "data"),
        ("database_url", "sqlite:data/santral.db"),
        ("durability", "disk"),
        ("heartbeat", "25s"),
        ("retention_messages", "1000000"),
        ("retention_age", "7d"),
        ("message_bytes_max", "65536"),
        ("drain_window", "10s"),
        ("log_level", "info,actix_server=warn"),
        ("log_format", "text"),
        ("open", "auto"),
        ("registration", "closed"),
        ("user_subscribe", "public:*"),
        ("anonymous_subscribe", "none"),
        ("access_token_lifetime", "15m"),
        ("trusted_proxies", "none"),
        ("token_secret", "none"),
        ("user_rooms", "*"),
        ("anonymous_rooms", "none"),
        ("video_max_participants", "12"),
        ("video_mesh_limit", "10"),
        ("ice_stun_urls", "stun:stun.l.google.com:19302"),
        ("turn_urls", "none"),
        ("turn_credential_lifetime", "1h"),
    ] {
        assert_eq!(outcome.line(key), [value, "default"]);
    }
    for key in ["workers", "node", "max_connections"] {
        assert_eq!(outcome.line(key)[1], "default");
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let file = "heartbeat = 11\nretention_age = \"2d\"\nnode = \"from-file\"\ndata_dir = \"/tmp/x\"\n";
    let santral = Santral::new(&["check-config", "--heartbeat", "13"]).file("santral.toml", file);
    let outcome = santral.env("SANTRAL_HEARTBEAT", "12").env("SANTRAL_NODE", "from-env").run();
    assert_eq!(outcome.line("heartbeat"), ["13", "flag", "--heartbeat"]);
    assert_eq!(outcome.line("node"), ["from-env", "environment", "SANTRAL_NODE"]);
    assert_eq!(outcome.line("retention_age"), ["2d", "file", "\"santral.toml\""]);
    assert_eq!(outcome.line("database_url"), ["sqlite:/tmp/x/santral.db", "default"]);
    assert_eq!(outcome.line("durability"), ["disk", "default"]);
}

#[test]
fn the_named_file_is_read_instead_of_the_usual_one() {
    for (arguments, variable) in
        [(&["check-config", "--config", "other.toml"][..], "ignored.toml"), (&["check-config"][..], "other.toml")]
    {
        let santral = Santral::new(arguments).env("SANTRAL_CONFIG", variable);
        let outcome = santral.file("santral.toml", "heartbeat = 0").file("other.toml", "heartbeat = 7").run();
        assert_eq!(outcome.line("heartbeat"), ["7", "file", "\"other.toml\""]);
    }
    Santral::new(&["check-config", "--config", "gone.toml"]).run().refuses(78, &["gone.toml"]);
}

#[test]
fn flags_stand_before_or_behind_the_command() {
    for arguments in [["--open", "check-config"], ["check-config", "--open"], ["check-config", "--open=true"]] {
        assert_eq!(Santral::new(&arguments).run().line("open"), ["true", "flag", "--open"]);
    }
}

#[test]
fn an_unknown_name_is_an_error_that_names_the_nearest() {
    let file = Santral::new(&["check-config"]).file("santral.toml", "lisen = \"127.0.0.1:1\"").run();
    file.refuses(78, &["santral.toml", "\"lisen\"", "did you mean listen?"]);
    let variable = Santral::new(&["check-config"]).env("SANTRAL_DATADIR", "x").run();
    variable.refuses(78, &["\"SANTRAL_DATADIR\"", "did you mean SANTRAL_DATA_DIR?"]);
    let flag = Santral::new(&["check-config", "--heart-beat", "5"]).run();
    flag.refuses(64, &["'--heart-beat'", "'--heartbeat'"]);
    Santral::new(&["chek-config"]).run().refuses(64, &["'chek-config'", "'check-config'"]);
    Santral::new(&[]).env("SANTRAL_COLOUR", "x").run().refuses(78, &["\"SANTRAL_COLOUR\"", "--help"]);
}

#[test]
fn turn_servers_need_a_secret_that_is_not_easily_guessed() {
    let check = |settings: &[(&str, &str)]| {
        let santral = Santral::new(&["check-config"]).env("SANTRAL_TURN_URLS", "turn:turn.example.com");
        settings.iter().fold(santral, |santral, (name, value)| santral.env(name, value)).run()
    };
    check(&[]).refuses(78, &["turn_urls", "without turn_secret"]);
    let short = check(&[("SANTRAL_TURN_SECRET", "hunter2")]);
    short.refuses(78, &["turn_secret", "32 to 512 bytes"]);
    assert!(!short.stderr.contains("hunter2"), "{short:?}");
    let set = check(&[("SANTRAL_TURN_SECRET", "9f2c4be1a07d5386e4f1b2c3d8a97065")]);
    assert_eq!(set.line("turn_urls"), ["turn:turn.example.com", "environment", "SANTRAL_TURN_URLS"]);
    assert_eq!(set.line("turn_secret")[0], "[redacted]");
    let odd = check(&[("SANTRAL_TURN_URLS", "turn://turn.example.com")]);
    odd.refuses(78, &["turn_urls", "turn:turn.example.com:3478?transport=udp"]);
}

#[test]
fn what_kubernetes_says_of_a_service_called_santral_is_no_setting() {
    let santral = Santral::new(&["check-config"])
        .env("SANTRAL_SERVICE_HOST", "10.0.0.1")
        .env("SANTRAL_SERVICE_PORT", "8080")
        .env("SANTRAL_SERVICE_PORT_HTTP", "8080")
        .env("SANTRAL_PORT", "tcp://10.0.0.1:8080")
        .env("SANTRAL_PORT_8080_TCP", "tcp://10.0.0.1:8080")
        .env("SANTRAL_PORT_8080_TCP_ADDR", "10.0.0.1");
    assert_eq!(santral.run().code, Some(0));
    Santral::new(&["check-config"]).env("SANTRAL_PORT", "9000").run().refuses(78, &["SANTRAL_PORT"]);
}

#[test]
fn values_at_the_ends_of_a_range_pass_and_those_beyond_are_refused() {
    for (key, low, high, below, above, unit) in [
        ("heartbeat", "1", "300", "0", "301", "seconds"),
        ("drain_window", "0s", "5m", "-1", "301s", "seconds"),
        ("message_bytes_max", "1024", "2097152", "1023", "2097153", "bytes"),
        ("retention_messages", "1", "1000000000", "0", "1000000001", "messages"),
        ("retention_age", "1", "3650d", "0", "3651d", "seconds"),
        ("workers", "1", "256", "0", "257", "threads"),
        ("max_connections", "1", "1000000", "0", "1000001", "streams"),
        ("connections_per_user", "1", "1000000", "0", "1000001", "streams"),
        ("rate_burst_per_address", "10", "1000000", "9", "1000001", "requests"),
        ("access_token_lifetime", "1m", "1h", "59", "3601", "seconds"),
        ("refresh_token_lifetime", "1h", "365d", "3599s", "366d", "seconds"),
    ] {
        let variable = format!("SANTRAL_{}", key.to_uppercase());
        let run = |value: &str| Santral::new(&["check-config"]).env(&variable, value).run();
        for value in [low, high] {
            assert_eq!(run(value).line(key), [value, "environment", variable.as_str()]);
        }
        for value in [below, above, "x"] {
            run(value).refuses(78, &[key, &variable, &format!("{value:?}"), unit]);
        }
    }
}

#[test]
fn values_of_another_shape_are_refused() {
    for line in [
        "listen = \"localhost\"",
        "listen = 8080",
        "durability = \"DISK\"",
        "durability = true",
        "log_level = \"inof\"",
        "log_format = \"xml\"",
        "open = \"yes\"",
        "node = \"a b\"",
        "heartbeat = 2.5",
        "heartbeat = [25]",
        "[heartbeat]",
        "data_dir = \"\"",
        "database_url = \"mysql://db\"",
        "cors_origins = [\"null\"]",
        "cors_origins = [\"https://app.example.com/\"]",
        "trusted_proxies = \"10.0.0.0/33\"",
        "transports = []",
        "user_subscribe = [\"user:*\"]",
        "forwarded_header = \"x-client-ip\"",
        "token_secret = \"too-short\"",
    ] {
        let key = line.trim_start_matches('[').split([' ', ']']).next().expect("a key");
        Santral::new(&["check-config"])
            .file("santral.toml", line)
            .run()
            .refuses(78, &[key, "santral.toml", "expected"]);
    }
}

#[test]
fn everything_that_is_wrong_is_said_in_one_run() {
    let santral = Santral::new(&["serve", "--hartbeat=5", "--nod", "x", "--workers", "0"])
        .file("santral.toml", "colour = 1\nheartbeat = 0\n")
        .env("SANTRAL_LOG_LEVEL", "loud")
        .env("SANTRAL_X", "1");
    let texts = ["--hartbeat", "--nod", "workers", "colour", "heartbeat (file", "log_level", "SANTRAL_X"];
    santral.run().refuses(64, &texts);
}

#[test]
fn no_password_is_ever_printed() {
    let url = "postgres://ada:hunter2@db/santral?password=hunter2";
    let shown = Santral::new(&["check-config"]).env("DATABASE_URL", url).run();
    assert_eq!(shown.line("database_url")[0], "postgres://ada:…@db/santral?…");
    let outcomes = [
        shown,
        Santral::new(&["check-config"]).env("DATABASE_URL", "postgre://ada:hunter2@db").run(),
        Santral::new(&["check-config"]).file("santral.toml", "database_url = [\"postgres://ada:hunter2@db\"]").run(),
        Santral::new(&["check-config"]).file("santral.toml", "database_url = \"postgres://ada:hunter2@db").run(),
        Santral::new(&["check-config"]).file("santral.toml", "database_url = postgres://ada:hunter2@db").run(),
        Santral::new(&["check-config", "--databse-url=postgres://ada:hunter2@db"]).run(),
        Santral::new(&["check-config", "--databse-url", "postgres://ada:hunter2@db"]).run(),
        Santral::new(&["postgres://ada:hunter2@db/x"]).run(),
        Santral::new(&["migrate"]).env("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/x").run(),
        Santral::new(&["check-config"]).env("SANTRAL_TOKEN_SECRET", "hunter2-9f2c4be1a07d5386e4f1b2c3d8a97065").run(),
        Santral::new(&["check-config"]).env("SANTRAL_ISSUER_SECRET", "hunter2").run(),
        Santral::new(&["check-config"]).file("santral.toml", "token_secret = [\"hunter2\"]").run(),
    ];
    for outcome in outcomes {
        assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
        assert!(!outcome.stdout.is_empty() || !outcome.stderr.is_empty());
    }
}

#[test]
fn our_own_variable_beats_database_url() {
    let santral = Santral::new(&["check-config"]).env("DATABASE_URL", "sqlite:a.db");
    let outcome = santral.env("SANTRAL_DATABASE_URL", "sqlite:b.db").run();
    assert_eq!(outcome.line("database_url"), ["sqlite:b.db", "environment", "SANTRAL_DATABASE_URL"]);
}

#[test]
fn lists_are_arrays_in_the_file_and_have_commas_elsewhere() {
    let file = "cors_origins = [\"https://a.example\", \"https://*.b.example\"]\nuser_subscribe = []\n";
    let outcome = Santral::new(&["check-config", "--user-publish=news,orders:*"])
        .file("santral.toml", file)
        .env("SANTRAL_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
        .run();
    assert_eq!(outcome.line("cors_origins")[0], "https://a.example,https://*.b.example");
    assert_eq!(outcome.line("user_subscribe"), ["none", "file", "\"santral.toml\""]);
    assert_eq!(outcome.line("user_publish")[0], "news,orders:*");
    assert_eq!(outcome.line("trusted_proxies")[..2], ["10.0.0.0/8,", "::1"]);
}

#[test]
fn an_address_for_everybody_is_open_only_by_name() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let outcome = Santral::new(&["check-config", "--listen", listen]).run();
        assert_eq!((outcome.code, outcome.line("open")), (Some(0), vec!["auto", "default"]));
    }
    assert_eq!(Santral::new(&["check-config", "--open"]).run().line("open")[0], "true");
}

#[test]
fn too_low_a_limit_on_open_files_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |limit: u32| {
        let script = format!("ulimit -n {limit}; exec \"$0\" check-config");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_santral")]).env_clear().current_dir(folder.path());
        command.output().expect("sh runs")
    };
    let refused = run(64);
    assert_eq!(refused.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the limit on open files is 64"), "{refused:?}");
    let accepted = String::from_utf8_lossy(&run(256).stdout).into_owned();
    assert!(accepted.contains("128 streams beside 64 plain connections; 64"), "{accepted}");
}

#[test]
fn version_and_help_answer_even_when_the_configuration_is_wrong() {
    let run = |argument: &str| Santral::new(&[argument]).env("SANTRAL_X", "1").run();
    let version = run("version");
    assert_eq!((version.code, version.stdout.as_str()), (Some(0), concat!(env!("CARGO_PKG_VERSION"), "\n")));
    for key in ["--listen", "--data-dir", "--retention-age", "check-config"] {
        assert!(run("--help").stdout.contains(key), "{key}");
    }
}

#[test]
fn migrate_creates_the_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let outcome = Santral::new(&["migrate"]).env("SANTRAL_DATA_DIR", data.to_str().expect("UTF-8")).run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(data.join("santral.db").exists());
}

#[test]
fn a_failure_is_logged_as_one_json_object_a_line() {
    let santral = Santral::new(&["migrate", "--log-format", "json"]).env("DATABASE_URL", "postgres://127.0.0.1:1/x");
    let outcome = santral.run();
    assert_eq!(outcome.code, Some(69), "{outcome:?}");
    let lines: Vec<serde_json::Value> =
        outcome.stderr.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let error = lines.last().expect("the failure is logged");
    assert_eq!(error["level"], "error");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("cannot open the database")), "{error}");
}

#[test]
fn healthcheck_asks_whether_the_server_is_ready() {
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        ("HTTP/1.1 2000\r\n\r\n", 1),
        ("SSH-2.0-x 200 \r\n", 1),
        ("", 1),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the health check connects");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request head");
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).expect("the health check reads");
            String::from_utf8(request).expect("a head is text")
        });
        // A server that listens everywhere is asked on this machine; `open` is no matter here.
        let outcome = Santral::new(&["healthcheck"]).env("SANTRAL_LISTEN", &format!("0.0.0.0:{port}")).run();
        assert_eq!(outcome.code, Some(code), "{answer:?} {outcome:?}");
        assert!(server.join().expect("the server ends").starts_with("GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1:"));
    }
    Santral::new(&["healthcheck", "--listen", "127.0.0.1:1"]).run().refuses(1, &["127.0.0.1:1"]);
    Santral::new(&["healthcheck", "--listen", "nonsense"]).run().refuses(1, &["nonsense"]);
}

#[test]
fn the_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let fresh = santral::config::reference();
    if std::env::var_os("SANTRAL_UPDATE_DOCS").is_some() {
        fs::write(&path, &fresh).expect("docs can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "docs/settings.md is stale; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it config");
}

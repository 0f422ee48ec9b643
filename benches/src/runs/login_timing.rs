//! Whether the time of a refused sign-in tells if the account exists.
//!
//! Two kinds of sign-ins take turns, one at a time over one connection: at an account that exists and at
//! one that does not. Then the same with the right password against a wrong one, as a control that the
//! test finds a difference where there is one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Bench;
use crate::error::{BenchError, During, Result};
use crate::http::{self, Extent};
use crate::rank_test::p_of_no_difference;
use crate::report::{Figure, Section, median, number};
use crate::servers::{Server, ServerKind};

/// Sign-ins of each kind, unless the command line says otherwise.
pub const SIGN_INS: usize = 600;
/// Accounts that exist, and as many names of the same length that do not.
const ACCOUNTS: usize = 10;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A difference that chance alone would show less often than once in a hundred runs fails.
const P_MIN: f64 = 0.01;

/// Sign-ins must be slowed down by nothing but their own work.
const SETTINGS: [(&str, &str); 2] = [("SANTRAL_REGISTRATION", "open"), ("SANTRAL_LOGIN_ATTEMPTS_PER_MINUTE", "10000")];

const PASSWORD: &str = "violet-anchor-9-paper";
const WRONG: &str = "violet-anchor-9-stone";
/// Where the names begin that nobody has.
const NOBODY: usize = 9_000;
/// A kind of sign-in.
#[derive(Clone, Copy)]
enum Kind {
    Known,
    Unknown,
    Right,
}

/// Measures.
///
/// # Errors
/// When the server or a sign-in fails.
pub fn run(bench: &Bench, sign_ins: usize) -> Result<Section> {
    let mut launch = bench.launch.clone();
    launch.santral_env.extend(SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())));
    eprintln!("sign-ins at known and unknown accounts");
    let server = Server::start(ServerKind::Santral, &launch)?;
    let mut connection = Connection::open(&server)?;
    for account in 0..ACCOUNTS {
        connection.post("/auth/register", &credentials(&format!("person-{account:04}"), PASSWORD), 201)?;
    }
    let count = bench.scaled(sign_ins);
    let [known, unknown] = measure(&mut connection, [Kind::Known, Kind::Unknown], count)?;
    let [wrong, right] = measure(&mut connection, [Kind::Known, Kind::Right], count)?;
    let (p, control) = (p_of_no_difference(&known, &unknown), p_of_no_difference(&wrong, &right));
    Ok(Section {
        title: "Sign-ins at known and unknown accounts",
        note: format!(
            "{count} sign-ins of each kind, one at a time, in turn. Two-sided test of Mann and Whitney: p = {} for the \
             account that exists against the one that does not, {} for the control.",
            number(p),
            number(control),
        ),
        columns: vec!["sign-in", "p50 ms", "p10 ms", "p90 ms"],
        rows: vec![
            row("refused, the account exists", known),
            row("refused, there is no such account", unknown),
            row("control: refused", wrong),
            row("control: let in", right),
        ],
        figures: vec![
            Figure::at_least("p that a known account takes as long as an unknown one", p, P_MIN, ""),
            Figure::at_most("p of the control, which differs", control, P_MIN, ""),
        ],
    })
}

fn row(kind: &str, mut times: Vec<f64>) -> Vec<String> {
    times.sort_by(f64::total_cmp);
    let quantile = |share: usize| number(times[(times.len() - 1) * share / 100]);
    vec![kind.to_owned(), number(median(&times)), quantile(10), quantile(90)]
}

/// Milliseconds of each sign-in, by kind. The order is that of ABBA, so each kind comes equally often
/// behind itself and behind the other.
fn measure(connection: &mut Connection, kinds: [Kind; 2], count: usize) -> Result<[Vec<f64>; 2]> {
    let mut times = [const { Vec::new() }; 2];
    for round in 0..count {
        let account = round % ACCOUNTS;
        for index in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (number, password, status) = match kinds[index] {
                Kind::Known => (account, WRONG, 401),
                Kind::Unknown => (account + NOBODY, WRONG, 401),
                Kind::Right => (account, PASSWORD, 200),
            };
            let body = credentials(&format!("person-{number:04}"), password);
            times[index].push(connection.post("/auth/login", &body, status)?.as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

fn credentials(name: &str, password: &str) -> String {
    format!(r#"{{"name":"{name}","password":"{password}"}}"#)
}

/// One connection that is kept.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(server: &Server) -> Result<Self> {
        let stream = TcpStream::connect(server.address()).during("connect to the server")?;
        stream.set_nodelay(true).during("set up a connection")?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).during("set up a connection")?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Posts, and says how long the answer took, which must have this status.
    fn post(&mut self, path: &str, body: &str, status: u16) -> Result<Duration> {
        let mut request = http::post_head(path, body.len());
        request.extend_from_slice(body.as_bytes());
        self.buffer.clear();
        let sent = Instant::now();
        self.stream.write_all(&request).during("send a sign-in")?;
        while Extent::find(&self.buffer).is_none() {
            let mut part = [0; 4_096];
            let count = self.stream.read(&mut part).during("read the answer to a sign-in")?;
            if count == 0 {
                return Err(BenchError::Timeout { what: "the answer to a sign-in" });
            }
            self.buffer.extend_from_slice(&part[..count]);
        }
        let took = sent.elapsed();
        let answered = http::status(&self.buffer);
        if answered == status {
            return Ok(took);
        }
        let body = String::from_utf8_lossy(&self.buffer).into_owned();
        Err(BenchError::Refused { what: "a sign-in", status: answered, body })
    }
}

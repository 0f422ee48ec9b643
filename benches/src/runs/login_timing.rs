//! Whether the time of a refused sign-in tells if the account exists.
//!
//! Three kinds of sign-ins take turns in changing order, one at a time over one connection: at an account
//! that exists, at one that does not, and, as a control that the test finds a difference where there is
//! one, with the right password.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Bench;
use crate::error::{BenchError, During, Result};
use crate::http::{self, Extent};
use crate::rank_test::p_of_no_difference;
use crate::report::{Figure, Section, median, number};
use crate::servers::{Server, ServerKind};

/// Sign-ins of each kind.
const SIGN_INS: usize = 600;
/// Accounts that exist, and as many names of the same length that do not.
const ACCOUNTS: usize = 10;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A difference that chance alone would show less often than once in a hundred runs fails.
const P_MIN: f64 = 0.01;

/// Sign-ins must be slowed down by nothing but their own work.
const SETTINGS: [(&str, &str); 2] = [("SANTRAL_REGISTRATION", "open"), ("SANTRAL_LOGIN_ATTEMPTS_PER_MINUTE", "10000")];

const PASSWORD: &str = "violet-anchor-9-paper";
const KINDS: [&str; 3] = ["refused, the account exists", "refused, there is no such account", "let in (control)"];

/// The orders in which the three kinds take turns: each kind stands in each place equally often.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 1, 0], [0, 2, 1], [1, 2, 0]];

/// Measures.
///
/// # Errors
/// When the server or a sign-in fails.
pub fn run(bench: &Bench) -> Result<Section> {
    let mut launch = bench.launch.clone();
    launch.santral_env.extend(SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())));
    eprintln!("sign-ins at known and unknown accounts");
    let server = Server::start(ServerKind::Santral, &launch)?;
    let mut connection = Connection::open(&server)?;
    for account in 0..ACCOUNTS {
        connection.post("/auth/register", &credentials(&format!("person-{account:04}"), PASSWORD), 201)?;
    }
    let times = measure(&mut connection, bench.scaled(SIGN_INS))?;
    let p = p_of_no_difference(&times[0], &times[1]);
    let control = p_of_no_difference(&times[0], &times[2]);
    let rows = KINDS.iter().zip(&times).map(|(kind, times)| {
        let mut sorted = times.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: usize| number(sorted[(sorted.len() - 1) * share / 100]);
        vec![(*kind).to_owned(), number(median(times)), quantile(10), quantile(90)]
    });
    Ok(Section {
        title: "Sign-ins at known and unknown accounts",
        note: format!(
            "{} sign-ins of each kind, one at a time, in changing order. Two-sided test of Mann and Whitney: p = {} \
             for the account that exists against the one that does not, {} for the control.",
            times[0].len(),
            number(p),
            number(control),
        ),
        columns: vec!["sign-in", "p50 ms", "p10 ms", "p90 ms"],
        rows: rows.collect(),
        figures: vec![
            Figure::at_least("p that a known account takes as long as an unknown one", p, P_MIN, ""),
            Figure::at_most("p of the control, which differs", control, P_MIN, ""),
        ],
    })
}

/// Milliseconds of each sign-in, by kind.
fn measure(connection: &mut Connection, count: usize) -> Result<[Vec<f64>; 3]> {
    let mut times = [const { Vec::new() }; 3];
    for round in 0..count {
        for kind in ORDERS[round % ORDERS.len()] {
            let number = round % ACCOUNTS + if kind == 1 { 9_000 } else { 0 };
            let (password, status) = if kind == 2 { (PASSWORD, 200) } else { ("violet-anchor-9-stone", 401) };
            let body = credentials(&format!("person-{number:04}"), password);
            times[kind].push(connection.post("/auth/login", &body, status)?.as_secs_f64() * 1e3);
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

//! Proxy × configuration × transport × case: what gets through, and what is only saved by the resume.
//!
//! All clients listen to the same channel of one server, side by side, so the long silence is waited for
//! once. Whatever a proxy does, nobody may lose a message, have one twice or in another order; that
//! is asserted. Whether the connection itself lived on is what the matrix in docs/proxies.md says.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use santral_testkit::reverse_proxy::Product;

use super::followers::{Case, Follower};
use super::gateways::{Gateway, Setup};
use super::{publish_numbers, transports};
use crate::support::{PATIENCE, Santral};

/// A gateway with one follower for each transport.
struct Row {
    gateway: Gateway,
    followers: Vec<Follower>,
}

/// A run over all rows.
struct Run {
    santral: Santral,
    rows: Vec<Row>,
    /// The positions of all messages so far; the data is their index.
    ids: Vec<String>,
}

#[test]
fn the_matrix_of_proxies_is_fresh() {
    let mut run = Run::start();
    run.first();
    run.burst();
    run.reload();
    run.silence();
    run.restart();
    keep_matrix_fresh(&run.tables());
}

impl Run {
    fn start() -> Self {
        let santral = Santral::start_with(&[("SANTRAL_TRUSTED_PROXIES", "127.0.0.1"), ("SANTRAL_DRAIN_WINDOW", "2")]);
        let gateways = Gateway::start_all(santral.address);
        let rows = gateways.into_iter().map(|gateway| {
            let follow = |transport: &&'static dyn transports::Transport| {
                let name = format!("{} by way of {}", transport.name(), gateway.name());
                Follower::start(name, *transport, gateway.address())
            };
            let followers = transports::ALL.iter().map(follow).collect();
            Row { gateway, followers }
        });
        let rows = rows.collect();
        let run = Self { santral, rows, ids: Vec::new() };
        run.wait_for("every client is let in, or is not", |follower| {
            let record = follower.record();
            record.opened > 0 || record.is_hopeless()
        });
        run
    }

    /// Each message is waited for before the next is sent: a buffer that must fill first would hold it for ever.
    fn first(&mut self) {
        self.enter(Case::First);
        for _ in 0..5 {
            self.publish(1, 0);
            self.wait_for_all();
        }
    }

    fn burst(&mut self) {
        self.enter(Case::Burst);
        for batch in 0..BURST / 500 {
            self.publish(500, batch);
        }
        self.wait_for_all();
    }

    fn reload(&mut self) {
        self.enter(Case::Reload);
        thread::scope(|scope| {
            for row in &mut self.rows {
                scope.spawn(|| row.gateway.proxy.reload().expect("the configuration is as good as before"));
            }
        });
        for index in 0..self.rows.len() {
            self.publish(10, index);
        }
        self.wait_for_all();
    }

    fn silence(&mut self) {
        self.enter(Case::Silence);
        // The one thing that takes its time: what shall be shown is that nothing happens in it.
        thread::sleep(SILENCE);
        self.publish(1, 0);
        self.wait_for_all();
    }

    /// Whoever publishes while the server is away is refused; what is published right after is there for all.
    fn restart(&mut self) {
        self.enter(Case::Restart);
        self.santral.server.terminate(PATIENCE).expect("it stops");
        self.santral.start_again();
        let address = self.santral.address;
        self.ids.extend(publish_numbers(address, self.ids.len(), 100));
        self.wait_for_all();
    }

    fn enter(&self, case: Case) {
        self.followers().for_each(|follower| follower.enter(case));
    }

    fn followers(&self) -> impl Iterator<Item = &Follower> {
        self.rows.iter().flat_map(|row| &row.followers)
    }

    /// Publishes so many messages, by way of one of the proxies as they are deployed. With their defaults a
    /// POST may be lost: Caddy sends one over a connection that the server is closing, and answers 502.
    fn publish(&mut self, count: usize, turn: usize) {
        let deployed: Vec<_> = self.rows.iter().filter(|row| row.gateway.setup != Setup::Shortest).collect();
        let gateway = &deployed[turn % deployed.len()].gateway;
        self.ids.extend(publish_numbers(gateway.address(), self.ids.len(), count));
    }

    /// Until all who are let in have everything, and then each message must be at its place.
    fn wait_for_all(&self) {
        let expected = self.ids.len();
        self.wait_for("all messages", |follower| {
            let record = follower.record();
            record.is_hopeless() || record.messages.len() >= expected
        });
        for follower in self.followers() {
            let record = follower.record();
            if record.is_hopeless() {
                continue;
            }
            let expected = self.ids.iter().enumerate().map(|(number, id)| (id.clone(), number.to_string()));
            let wrong = expected.zip(&record.messages).find(|(expected, seen)| *expected != **seen);
            assert_eq!((wrong, record.messages.len()), (None, self.ids.len()), "{}", follower.name);
        }
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&Follower) -> bool) {
        let deadline = Instant::now() + PATIENCE * 3;
        while let Some(late) = self.followers().find(|follower| !holds(follower)) {
            assert!(Instant::now() < deadline, "{what}: {} has {}", late.name, summary(late));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What docs/proxies.md shows of each proxy that is here.
    fn tables(&self) -> Vec<(Product, String)> {
        let table = |product: Product| {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.gateway.product == product).collect();
            (rows.len() == Setup::ALL.len()).then(|| (product, table(product, &rows)))
        };
        Product::ALL.into_iter().filter_map(table).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // All at once: each is waited for when it is dropped.
        self.followers().for_each(Follower::dismiss);
    }
}

fn summary(follower: &Follower) -> String {
    let record = follower.record();
    let (first, count) = (record.breaks.iter().take(5).collect::<Vec<_>>(), record.breaks.len());
    format!("{} messages, opened {} times, {count} breaks: {first:?}", record.messages.len(), record.opened)
}

fn table(product: Product, rows: &[&Row]) -> String {
    let titles: Vec<_> = Case::ALL.iter().map(|case| case.title()).collect();
    let mut text = format!("### {}\n\n| configuration | transport | {} |\n", product.name(), titles.join(" | "));
    text += &format!("|---|---|{}\n", "---|".repeat(titles.len()));
    for row in rows {
        for (follower, transport) in row.followers.iter().zip(transports::ALL) {
            let verdicts: Vec<_> = Case::ALL.iter().map(|case| follower.record().verdict(*case)).collect();
            writeln!(text, "| {} | {} | {} |", row.gateway.setup.name(), transport.name(), verdicts.join(" | "))
                .expect("a String takes all text");
        }
    }
    text
}

/// Compares what was seen with the matrix of docs/proxies.md; rewrites that if it is asked for.
fn keep_matrix_fresh(tables: &[(Product, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxies.md");
    let committed = fs::read_to_string(&path).expect("docs/proxies.md can be read");
    let (before, rest) = committed.split_once(BEGIN).expect("the matrix has a beginning");
    let (matrix, after) = rest.split_once(END).expect("the matrix has an end");
    if std::env::var_os("SANTRAL_UPDATE_DOCS").is_some() {
        assert_eq!(tables.len(), Product::ALL.len(), "the matrix is made where all proxies are installed");
        let with = |product: &Product| format!("{} {}", product.name(), product.version().unwrap_or_default());
        let versions: Vec<_> = Product::ALL.iter().map(with).collect();
        let shown: Vec<_> = tables.iter().map(|(_, table)| table.as_str()).collect();
        let text = format!("\nMade with {}.\n\n{}", versions.join(", "), shown.join("\n"));
        fs::write(&path, format!("{before}{BEGIN}{text}{END}{after}")).expect("the documentation can be written");
        return;
    }
    let stale: Vec<_> = tables.iter().filter(|(_, table)| !matrix.contains(table.trim())).collect();
    let stale: String = stale.into_iter().map(|(_, table)| table.as_str()).collect();
    assert!(
        stale.is_empty(),
        "docs/proxies.md says otherwise; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it proxies\n{stale}"
    );
}

const BURST: usize = 10_000;

/// Longer than twice the 60 s after which nginx and others give up, and than the 100 s of Cloudflare.
const SILENCE: Duration = Duration::from_secs(130);

const BEGIN: &str = "<!-- The matrix: made by tests/it/proxies/matrix.rs -->\n";
const END: &str = "<!-- The end of the matrix -->\n";

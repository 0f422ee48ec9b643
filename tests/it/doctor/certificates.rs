//! TLS with certificates that are good, expired, self-made, or made out to somebody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use santral_testkit::nginx::Nginx;
use santral_testkit::process::free_address;
use santral_testkit::tools::require_tool;
use tempfile::TempDir;

use super::doctor;
use crate::support::Santral;

/// An authority of our own, whose certificates are made by the openssl command line.
struct Authority {
    openssl: PathBuf,
    folder: TempDir,
}

impl Authority {
    /// `None`, said loudly, where there is no openssl.
    fn new() -> Option<Self> {
        let authority =
            Self { openssl: require_tool("openssl")?, folder: tempfile::tempdir().expect("a temporary folder") };
        fs::write(authority.path("index.txt"), "").expect("it can be written");
        fs::write(authority.path("ca.conf"), CONFIGURATION).expect("it can be written");
        let extension = "basicConstraints=critical,CA:TRUE";
        let name = ["-subj", "/CN=Doctor's authority", "-addext", extension];
        authority
            .run(&[&["req", "-x509", "-days", "3", "-out", "ca.pem", "-keyout", "ca.key"], &KEY[..], &name].concat());
        Some(authority)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) {
        let output = Command::new(&self.openssl).args(arguments).current_dir(self.folder.path()).output();
        let output = output.expect("openssl runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes `<name>.pem` and `<name>.key` for this subject, from and to these times.
    fn issue(&self, name: &str, subject: &str, from: &str, to: &str) {
        let [certificate, key, request] = ["pem", "key", "csr"].map(|extension| format!("{name}.{extension}"));
        fs::write(self.path("names"), format!("subjectAltName={subject}\n")).expect("it can be written");
        let ask = ["req", "-new", "-out", &request, "-keyout", &key, "-subj", "/CN=a server"];
        self.run(&[&ask[..], &KEY].concat());
        let sign = [
            "ca",
            "-batch",
            "-config",
            "ca.conf",
            "-notext",
            "-extfile",
            "names",
            "-in",
            &request,
            "-out",
            &certificate,
        ];
        self.run(&[&sign[..], &["-startdate", from, "-enddate", to]].concat());
    }
}

/// What every new key looks like.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

const CONFIGURATION: &str = "\
[ca]\ndefault_ca = here\n[here]\ndatabase = index.txt\nnew_certs_dir = .\ncertificate = ca.pem\nprivate_key = ca.key
rand_serial = yes\ndefault_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n";

/// nginx with this certificate on a port of its own, and the URL there.
fn serve(folder: &Path, name: &str, santral: &Santral) -> Option<(Nginx, String)> {
    let address = free_address().expect("loopback has a free port");
    let path = folder.join(name).display().to_string();
    let block = format!(
        "listen {address} ssl; ssl_certificate {path}.pem; ssl_certificate_key {path}.key;
         location / {{ proxy_pass http://{}; }}",
        santral.address
    );
    let nginx = Nginx::start(&block).expect("nginx starts")?;
    Some((nginx, format!("https://127.0.0.1:{}", address.port())))
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_plain_words() {
    let Some(authority) = Authority::new() else { return };
    let santral = Santral::start();
    let folder = authority.folder.path();
    let (past, future, far) = ("20200101000000Z", "20900101000000Z", "20910101000000Z");
    for (name, subject, from, to) in [
        ("good", "IP:127.0.0.1", past, future),
        ("expired", "IP:127.0.0.1", past, "20210101000000Z"),
        ("early", "IP:127.0.0.1", future, far),
        ("other", "DNS:other.example", past, future),
    ] {
        authority.issue(name, subject, from, to);
    }
    let diagnose = |name: &str, more: &[&str]| {
        let (_nginx, url) = serve(folder, name, &santral)?;
        let arguments = [&["--url", &url, "--idle", "0"][..], more].concat();
        Some(doctor(folder, &arguments, &[]))
    };
    let trust = ["--ca-file", "ca.pem"];
    let Some(good) = diagnose("good", &trust) else { return };
    good.is_well(&["tls", "identity", "stream", "round-trip"]).says("tls", "ok", &["certificate", "good"]);
    for (name, more, words) in [
        ("good", &[][..], &["nobody trusts the issuer", "--ca-file"][..]),
        ("expired", &trust, &["expired", "renew"]),
        ("early", &trust, &["not valid yet", "clock"]),
        ("other", &trust, &["not made out to 127.0.0.1", "other.example"]),
        // An authority's own certificate, as a self-signed one is made by default.
        ("ca", &[], &["nobody trusts the issuer"]),
    ] {
        let diagnosis = diagnose(name, more).expect("nginx started before");
        diagnosis.has_failed().says("tls", "fail", words).says("stream", "skipped", &[]);
    }
}

#[test]
fn tls_on_one_side_only_is_told() {
    let Some(authority) = Authority::new() else { return };
    let santral = Santral::start();
    authority.issue("good", "IP:127.0.0.1", "20200101000000Z", "20900101000000Z");
    let folder = authority.folder.path();
    let plain = format!("https://{}", santral.address);
    doctor(folder, &["--url", &plain], &[]).has_failed().says("tls", "fail", &["speaks no TLS", "http://"]);
    let Some((_nginx, url)) = serve(folder, "good", &santral) else { return };
    let wrong = url.replace("https:", "http:");
    doctor(folder, &["--url", &wrong], &[]).has_failed().says("identity", "fail", &["speaks TLS", "https://"]);
}

//! Secrets that the operator gives on the way in: environment, files, flags, standard input.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Canaries;
use crate::support::Santral;

/// One run of the binary with a secret that it should keep to itself.
struct Run {
    door: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    file: Option<String>,
    input: Option<String>,
}

impl Run {
    fn new(door: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { door: door.to_owned(), arguments, environment: Vec::new(), file: None, input: None }
    }

    fn env(mut self, name: &'static str, value: String) -> Self {
        self.environment.push((name, value));
        self
    }

    fn flag(mut self, value: String) -> Self {
        self.arguments.push(value);
        self
    }

    /// All that it prints; it must end by itself.
    fn output(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some(text) = &self.file {
            std::fs::write(folder.path().join("santral.toml"), text).expect("a file in a temporary folder");
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_santral"));
        command.args(&self.arguments).env_clear().current_dir(folder.path()).env("SANTRAL_LOG_LEVEL", "trace");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.envs(self.environment.iter().cloned()).spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that ends without reading is no failure.
        let _ = stdin.write_all(self.input.as_deref().unwrap_or_default().as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        [output.stdout, output.stderr].concat()
    }
}

#[test]
fn a_secret_of_the_operator_is_printed_by_no_command() {
    let mut canaries = Canaries::default();
    let mut runs = Vec::new();
    for command in ["check-config", "doctor", "serve", "create-admin", "token"] {
        for (shape, name) in [
            ("SECRET", "SANTRAL_TOKEN_SECRET"),
            ("SECRET", "SANTRAL_ISSUER_SECRET"),
            ("SECRET", "SANTRAL_WEBHOOK_SECRET"),
            ("password-SECRET", "SANTRAL_TOKEN_SECRET"),
            ("changeme-SECRET", "SANTRAL_ISSUER_SECRET"),
            ("postgres://ada:SECRET@127.0.0.1:1/x", "SANTRAL_DATABASE_URL"),
            ("postgres://ada:SECRET@127.0.0.1:1/x", "DATABASE_URL"),
            ("postgres://ada:a/b@c?SECRET@127.0.0.1:1/x", "SANTRAL_DATABASE_URL"),
            ("postgres://127.0.0.1:1/x?user=ada&password=SECRET", "SANTRAL_DATABASE_URL"),
            ("postgres//ada:SECRET@127.0.0.1:1/x", "SANTRAL_DATABASE_URL"),
            ("mysql://ada:SECRET@127.0.0.1:1/x", "SANTRAL_DATABASE_URL"),
            ("host=127.0.0.1 port=1 user=ada password=SECRET", "SANTRAL_DATABASE_URL"),
        ] {
            let door = format!("{name}={shape} of santral {command}");
            let value = shape.replace("SECRET", &canaries.draw(&door));
            // An address that nobody has, so that a server which takes the secret ends too.
            let run = Run::new(&door, &[command]).env("SANTRAL_LISTEN", "192.0.2.1:1".to_owned());
            runs.push(run.env(name, value.clone()));
            let flag = format!("--{}", name.trim_start_matches("SANTRAL_").to_lowercase().replace('_', "-"));
            let run = Run::new(&format!("the flag of {door}"), &[command, "--listen", "192.0.2.1:1"]);
            runs.push(run.flag(format!("{flag}={value}")));
            let key = name.trim_start_matches("SANTRAL_").to_lowercase();
            let mut run = Run::new(&format!("the file of {door}"), &[command, "--listen", "192.0.2.1:1"]);
            run.file = Some(format!("{key} = \"{value}\"\n"));
            runs.push(run);
        }
        let door = format!("a line without an end in the file of santral {command}");
        let mut run = Run::new(&door, &[command, "--listen", "192.0.2.1:1"]);
        run.file = Some(format!("token_secret = \"{}\n", canaries.draw(&door)));
        runs.push(run);
        let door = format!("a list in the file of santral {command}");
        let mut run = Run::new(&door, &[command, "--listen", "192.0.2.1:1"]);
        run.file = Some(format!("token_secret = [\"{}\"]\n", canaries.draw(&door)));
        runs.push(run);
    }
    let secret = canaries.draw("the password for create-admin");
    let mut run = Run::new("standard input", &["create-admin", "--password-file", "-"]);
    run.input = Some(format!("{secret}\n"));
    runs.push(run);
    let secret = canaries.draw("the name and password for create-admin");
    let mut run = Run::new("standard input", &["create-admin", "--name", "Kanarya", "--password-file", "-"]);
    run.input = Some(format!("Kanarya{}\n", &secret[secret.len() - 12..]));
    canaries.add("a password with the name in it", &secret[secret.len() - 12..]);
    runs.push(run);
    let santral = Santral::start();
    let url = format!("http://{}", santral.address);
    let secret = canaries.draw("the token for doctor");
    runs.push(Run::new("doctor", &["doctor", "--url", &url, "--token", &secret]));
    let secret = canaries.draw("the password in the URL for doctor");
    let url = format!("http://ada:{secret}@{}", santral.address);
    runs.push(Run::new("doctor", &["doctor", "--url", &url]));
    let leaks: Vec<_> = runs.iter().flat_map(|run| canaries.found_in(&run.door, &run.output())).collect();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

//! Secrets on the disk: who can read them, and which are refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use santral_testkit::process::ServerCommand;
use tempfile::TempDir;

use crate::faults::node::Plan;
use crate::support::PATIENCE;

/// A data directory that is not there yet.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join("deep/down");
    (folder, data_dir)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

/// Every file that a run has left is for its owner only, and so are the folders.
fn assert_private(data_dir: &Path, expected: &[&str]) {
    assert_eq!(mode(data_dir), 0o700);
    for name in expected {
        assert!(data_dir.join(name).exists(), "{name} is missing");
    }
    for entry in fs::read_dir(data_dir).expect("the folder can be read") {
        let path = entry.expect("an entry can be read").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// What one run came to: its exit code, and all that it printed.
struct Outcome {
    code: Option<i32>,
    said: String,
}

/// Runs the binary until it ends by itself, which it must.
fn run(data_dir: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Outcome {
    let mut command = ServerCommand::new(env!("CARGO_BIN_EXE_santral")).args(arguments).env_clear();
    command = command.current_dir(data_dir.parent().unwrap_or(data_dir));
    command = command.env("SANTRAL_DATA_DIR", data_dir).env("SANTRAL_LISTEN", "127.0.0.1:0");
    for (name, value) in settings {
        command = command.env(name, value);
    }
    let mut process = command.spawn().expect("the binary runs");
    let status = process.wait_exit(PATIENCE).unwrap_or_else(|error| panic!("it should have refused: {error}"));
    Outcome { code: status.code(), said: process.output() }
}

/// A command that needs the key.
const TOKEN: [&str; 5] = ["token", "--subject", "ada", "--role", "user"];

#[test]
fn what_the_first_start_writes_is_for_its_owner_only() {
    for umask in ["000", "022", "077"] {
        let (_folder, data_dir) = place();
        let script = format!(r#"umask {umask}; exec "$0""#);
        let mut node = Plan::new().in_folder(&data_dir).under(&["sh", "-c", &script]).start();
        node.broadcast("1");
        assert_private(&data_dir, &["santral.db", "santral.db-wal", "token.key"]);
        node.server.terminate(PATIENCE).expect("it stops");
        assert_private(&data_dir, &["santral.db", "token.key"]);
        assert!(fs::metadata(data_dir.join("token.key")).expect("it is there").len() >= 32);
    }
}

#[test]
fn what_a_command_writes_before_the_first_start_is_for_its_owner_only() {
    for arguments in [&["create-admin", "--generate-password"][..], &["migrate"], &TOKEN] {
        let (folder, data_dir) = place();
        fs::create_dir_all(folder.path().join("deep")).expect("a folder");
        let output = run(&data_dir, arguments, &[]);
        assert_eq!(output.code, Some(0), "{arguments:?}: {}", output.said);
        assert_private(&data_dir, &[]);
    }
}

#[test]
fn a_database_elsewhere_is_for_its_owner_only_too() {
    let (folder, data_dir) = place();
    let database = folder.path().join("other/place/log.db");
    let url = format!("sqlite:{}", database.display());
    let node = Plan::new().in_folder(&data_dir).set("SANTRAL_DATABASE_URL", &url).start();
    assert_private(&data_dir, &["token.key"]);
    assert_private(database.parent().expect("it has a folder"), &["log.db"]);
    drop(node);
}

#[test]
fn a_key_that_others_could_have_read_or_that_is_damaged_stops_the_start() {
    let (folder, data_dir) = place();
    fs::create_dir_all(folder.path().join("deep")).expect("a folder");
    assert_eq!(run(&data_dir, &TOKEN, &[]).code, Some(0));
    let key = data_dir.join("token.key");
    let good = fs::read_to_string(&key).expect("the key is there");
    let refuses = |text: &str, permissions: u32, complaint: &str| {
        fs::write(&key, text).expect("the file is written");
        fs::set_permissions(&key, Permissions::from_mode(permissions)).expect("the mode is set");
        for command in ["serve", "token"] {
            let arguments = if command == "token" { &TOKEN[..] } else { &["serve"] };
            let output = run(&data_dir, arguments, &[]);
            let Outcome { code, said } = output;
            assert_eq!(code, Some(69), "{command}: {said}");
            assert!(said.contains(complaint) && said.contains("token.key"), "{command}: {said}");
            assert!(text.trim().is_empty() || !said.contains(text.trim()), "{said}");
        }
    };
    for permissions in [0o640, 0o604, 0o644, 0o660, 0o620] {
        refuses(&good, permissions, "run: chmod 600");
    }
    refuses("too-short-8Zt2Lx9Wm4", 0o600, "fewer than 32 bytes");
    refuses("", 0o600, "fewer than 32 bytes");
    refuses(&"ab".repeat(20), 0o600, "repeats itself");
    refuses("changeme-q8Zt2Lx9Wm4Rk7Vb1Nc6Hp3Jd5Fs0Gy", 0o600, "placeholder");
    fs::write(&key, &good).expect("the file is written");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("the mode is set");
    assert_eq!(run(&data_dir, &TOKEN, &[]).code, Some(0));
}

#[test]
fn a_webhook_key_that_others_could_have_read_or_that_is_damaged_stops_the_start() {
    let (_folder, data_dir) = place();
    fs::create_dir_all(&data_dir).expect("a folder");
    let key = data_dir.join("webhook.key");
    let goes_somewhere = [("SANTRAL_WEBHOOK_URLS", "https://example.org/hooks")];
    let good = "q8Zt2Lx9Wm4Rk7Vb1Nc6Hp3Jd5Fs0GyT";
    for (text, permissions, complaint) in [(good, 0o640, "run: chmod 600"), ("short", 0o600, "fewer than 32 bytes")] {
        fs::write(&key, text).expect("the file is written");
        fs::set_permissions(&key, Permissions::from_mode(permissions)).expect("the mode is set");
        let Outcome { code, said } = run(&data_dir, &["serve"], &goes_somewhere);
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains(complaint) && said.contains("webhook.key") && !said.contains(good), "{said}");
    }
    let Outcome { code, said } =
        run(&data_dir, &["serve"], &[("SANTRAL_WEBHOOK_SECRET", "Zt2Lx9Wm4Rk7Vb1Nc6Hp3Jd5Fs0Gy")]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("webhook_secret") && !said.contains("Zt2Lx9"), "{said}");
}

#[test]
fn a_configured_secret_that_is_weak_or_from_a_documentation_stops_the_start() {
    let (folder, data_dir) = place();
    fs::create_dir_all(folder.path().join("deep")).expect("a folder");
    for name in ["SANTRAL_TOKEN_SECRET", "SANTRAL_ISSUER_SECRET"] {
        for secret in [
            "x",
            "q8Zt2Lx9Wm4Rk7Vb1Nc6Hp3Jd5Fs0Gy",
            "changemechangemechangemechangeme",
            "your-secret-key-at-least-32-bytes-long",
            "your-256-bit-secret-your-256-bit-secret",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            let output = run(&data_dir, &["serve"], &[(name, secret)]);
            let Outcome { code, said } = output;
            assert_eq!(code, Some(78), "{name}={secret}: {said}");
            assert!(said.contains(name) && said.contains("openssl rand -hex 32"), "{said}");
            assert!(secret.len() < 2 || !said.contains(secret), "{said}");
            assert!(!data_dir.exists(), "nothing is begun");
        }
    }
    let good = "r7Yq2mWx9Kt4Lz8Bv1Nc6Hp3Jd5Fs0GyTe";
    let both = run(&data_dir, &["serve"], &[("SANTRAL_TOKEN_SECRET", good), ("SANTRAL_ISSUER_SECRET", good)]);
    let Outcome { code, said } = both;
    assert!(code == Some(69) && said.contains("must not be the one that signs our own tokens"), "{said}");
    assert!(!said.contains(good), "{said}");
}

/// What our documentation shows as a secret must not be one that a server takes.
#[test]
fn no_documentation_holds_a_secret_that_a_server_would_take() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    texts.extend(fs::read_dir(root.join("docs")).expect("docs").map(|entry| entry.expect("an entry").path()));
    let names = ["TOKEN_SECRET=", "ISSUER_SECRET=", "token_secret = ", "issuer_secret = ", "-secret "];
    for path in texts.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(path).expect("a text");
        for name in names {
            for after in text.match_indices(name).map(|(at, _)| &text[at + name.len()..]) {
                let value: String = after
                    .trim_start_matches(['"', '\'', '`'])
                    .chars()
                    .take_while(|&character| !character.is_whitespace() && !"\"'`)".contains(character))
                    .collect();
                assert!(santral::auth::secrets::check(&value).is_err(), "{} shows {value}", path.display());
            }
        }
    }
}

//! The two binaries: their exit status is what a CI job sees.

use std::path::Path;
use std::process::{Command, Output};

const SOUND: &str = r#"{"kind":"publish","publisher":"p","key":"k","channel":"a","hash":"h"}
{"kind":"ack","key":"k","id":"e-1","durability":"disk"}
{"kind":"stored","id":"e-1","channel":"a","key":"k","hash":"h"}
{"kind":"attach","client":"s","lastEventId":"e-0","channels":["a"]}
"#;

fn journal_check(text: &str, flags: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("journal");
    std::fs::write(&path, text).expect("there is space");
    let mut command = Command::new(env!("CARGO_BIN_EXE_santral-journal-check"));
    said(command.args(flags).arg(path).output().expect("it was built"))
}

fn power_cut(folder: &Path, flags: &[&str], command: &[&str]) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_santral-power-cut"));
    program.arg("--trace").arg(folder.join("trace")).args(["--data-dir", "/d"]).args(flags);
    said(program.arg("--").args(command).output().expect("it was built"))
}

fn said(output: Output) -> (Option<i32>, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn the_journal_check_tells_sound_from_broken_from_unusable() {
    let (code, text) = journal_check(SOUND, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("stored 1, attempts 1, acked 1"), "{text}");
    let (code, text) = journal_check(SOUND, &["--complete"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("NotAtEnd: s never received the last 1 entries, from e-1 on"), "{text}");
    let (code, text) = journal_check("{\"kind\":\"nonsense\"}\n", &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("line 1"), "{text}");
    assert_eq!(journal_check("", &[]).0, Some(2), "an empty journal proves nothing");
    assert_eq!(journal_check(SOUND, &["--what"]).0, Some(2));
}

#[test]
fn the_power_cut_test_passes_fails_and_expects_failure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hex = |text: &str| text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let trace = |synced: bool| {
        let sync = if synced { "7 fsync(3) = 0\n" } else { "" };
        let text = format!(
            "7 openat(AT_FDCWD, \"{}\", O_RDWR|O_CREAT, 0644) = 3\n7 write(3, \"{}\", 2) = 2\n{sync}7 write(1, \"{}\", 6) = 6\n",
            hex("/d/f"),
            hex("9\n"),
            hex("ACK 9\n")
        );
        std::fs::write(folder.path().join("trace"), text).expect("there is space");
    };
    let show = ["sh", "-c", "cat {}/f 2>/dev/null || true"];
    trace(true);
    let (code, text) = power_cut(folder.path(), &["--images", "20"], &show);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("images 20, lossy 0, corrupt 0"), "{text}");
    assert_eq!(power_cut(folder.path(), &["--images", "2"], &["false"]).0, Some(1));
    assert_eq!(power_cut(folder.path(), &["--images", "20", "--expect-lossy", "1"], &show).0, Some(1));
    trace(false);
    assert_eq!(power_cut(folder.path(), &["--images", "20"], &show).0, Some(1));
    assert_eq!(power_cut(folder.path(), &["--images", "20", "--expect-lossy", "50"], &show).0, Some(0));
    assert_eq!(power_cut(folder.path(), &["--images", "0"], &show).0, Some(2));
    std::fs::write(folder.path().join("trace"), "").expect("there is space");
    assert_eq!(power_cut(folder.path(), &[], &show).0, Some(2), "nothing was acknowledged");
}

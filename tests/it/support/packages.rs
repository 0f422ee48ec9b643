//! The outside clients in `tests/clients`, installed once below `target/`.
//!
//! `.ci/run` installs them; on a developer's machine the first test that needs them does, from the
//! lock file there, if the package manager is there and reaches its registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use santral_testkit::tools::require_tool;

/// Where the sources of the clients are.
pub(crate) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// The folder with the npm packages and the programs that use them; `None`, said loudly, without Node.
pub(crate) fn node_clients() -> Option<&'static Path> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    require_tool("node")?;
    let install = |folder: &Path| {
        let mut command = Command::new(require_tool("npm")?);
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
        Some(command)
    };
    READY.get_or_init(|| installed(&["package-lock.json", "package.json"], "node_modules", install)).as_deref()
}

/// The Python with the packages that the clients use; `None`, said loudly, without Python.
pub(crate) fn python_clients() -> Option<&'static Path> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = |folder: &Path| {
        let mut make = Command::new(require_tool("python3")?);
        let is_made = make.args(["-m", "venv", "python"]).current_dir(folder).status();
        if !is_made.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new(folder.join("python/bin/pip"));
        command.args(["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"]);
        command.current_dir(folder);
        Some(command)
    };
    let folder = READY.get_or_init(|| installed(&["requirements.txt"], "python", install)).as_deref()?;
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    Some(PYTHON.get_or_init(|| folder.join("python/bin/python")))
}

/// A program of `tests/clients` for Node, copied to where its packages are; `None`, said loudly, without them.
pub(crate) fn node_program(name: &str) -> Option<PathBuf> {
    let folder = node_clients()?;
    let (script, fresh) = (folder.join(name), folder.join(format!("{}-{name}", nanoid::nanoid!())));
    // In one step: another test may be starting from the file that was there.
    fs::copy(Path::new(SOURCES).join(name), &fresh).expect("a file can be copied");
    fs::rename(fresh, &script).expect("a file can be renamed");
    Some(script)
}

/// Installs what these lists name into the folder of the tests, unless the same has been installed there.
fn installed(lists: &[&str], made: &str, install: impl Fn(&Path) -> Option<Command>) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../ci-tools/clients");
    fs::create_dir_all(&folder).expect("a folder can be made below target/");
    let folder = folder.canonicalize().expect("it has just been made");
    let read = |name: &&str| fs::read(Path::new(SOURCES).join(name)).expect("the list is in the tree");
    let wanted: Vec<u8> = lists.iter().flat_map(read).collect();
    let stamp = folder.join(format!("{made}.installed"));
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Some(folder);
    }
    for name in lists {
        fs::copy(Path::new(SOURCES).join(name), folder.join(name)).expect("a file can be copied");
    }
    let output = install(&folder)?.output().expect("the package manager starts");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!is_ci, "CI must have the packages of tests/clients: {said}");
        eprintln!("SKIPPED: the packages of tests/clients cannot be installed: {said}");
        return None;
    }
    fs::write(stamp, wanted).expect("a file can be written");
    Some(folder)
}

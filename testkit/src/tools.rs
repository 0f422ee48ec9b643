//! Finding the outside programs which some tests need.
//!
//! A test whose tool is missing says so loudly and passes on a developer's machine, but fails in
//! CI: a gate that skips itself is no gate.

use std::path::{Path, PathBuf};

/// Looks for a program in `PATH`, then where Debian keeps system and PostgreSQL programs.
///
/// Prints `SKIPPED: ...` when there is none; the caller then returns from its test.
///
/// # Panics
/// When the tool is missing and the environment has `CI=true`.
#[must_use]
pub fn require_tool(name: &str) -> Option<PathBuf> {
    let found = find_tool(name);
    if found.is_none() {
        let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!is_ci, "CI must have the tool `{name}`: install it");
        eprintln!("SKIPPED: the tool `{name}` is not installed");
    }
    found
}

/// Looks for a program as [`require_tool`] does, without a word when there is none.
#[must_use]
pub fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .chain(postgres_folders())
        .map(|folder| folder.join(name))
        .find(|program| is_executable(program))
}

/// Debian installs each major version side by side outside of `PATH`; the newest comes first.
fn postgres_folders() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    program.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(find_tool("sh").is_some_and(|program| program.is_absolute()));
        assert_eq!(find_tool("no-such-program-at-all"), None);
    }
}

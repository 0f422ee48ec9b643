//! Where a password comes from: a terminal without echo, standard input, a file, or chance.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::CommandError;

/// Draws one: 144 random bits.
pub(super) fn generate() -> String {
    nanoid::nanoid!(24)
}

/// The first line of a file, or of standard input where the file is `-`.
pub(super) fn read_file(path: &Path) -> Result<String, CommandError> {
    if path == Path::new("-") {
        return first_line(io::stdin().lock());
    }
    let failed = |error| CommandError::Input(path.display().to_string(), error);
    first_line(io::BufReader::new(File::open(path).map_err(failed)?))
}

/// Asks twice in a terminal; without one, the first line of standard input.
pub(super) fn ask() -> Result<String, CommandError> {
    if !io::stdin().is_terminal() {
        return first_line(io::stdin().lock());
    }
    let first = prompt("password: ")?;
    if first != prompt("the same again: ")? {
        return Err(CommandError::PasswordsDiffer);
    }
    Ok(first)
}

fn prompt(text: &str) -> Result<String, CommandError> {
    // Standard output may be a file; what is asked belongs on the terminal.
    let mut terminal = io::stderr();
    let _ = write!(terminal, "{text}").and_then(|()| terminal.flush());
    let silence = Silence::begin().map_err(input_failed)?;
    let line = first_line(io::stdin().lock());
    drop(silence);
    let _ = writeln!(terminal);
    line
}

fn first_line(from: impl BufRead) -> Result<String, CommandError> {
    let mut line = String::new();
    from.take(LINE_BYTES_MAX).read_line(&mut line).map_err(input_failed)?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() { Err(CommandError::NoPassword) } else { Ok(password.to_owned()) }
}

fn input_failed(error: io::Error) -> CommandError {
    CommandError::Input("the password".to_owned(), error)
}

/// The terminal does not show what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Longer than any password that is taken.
const LINE_BYTES_MAX: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_whatever_ends_it() {
        for text in ["a b c\n", "a b c\r\nmore\n", "a b c"] {
            assert_eq!(first_line(text.as_bytes()).ok().as_deref(), Some("a b c"), "{text:?}");
        }
        assert!(matches!(first_line("\nsecond".as_bytes()), Err(CommandError::NoPassword)));
        assert_ne!(generate(), generate());
    }
}

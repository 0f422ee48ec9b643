//! Santral's binary: everything is in the library, where tests reach it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    santral::cli::run(santral::app::serve)
}

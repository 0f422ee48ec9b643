//! The flags of the settings, made from their declarations, and what else a process is given.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, FromArgMatches, value_parser};

use crate::config::{Inputs, KEYS, descriptors};

/// The flags of the settings, made from their declarations.
#[derive(Debug, Default)]
pub(super) struct Flags {
    file: Option<PathBuf>,
    settings: Vec<(String, String)>,
}

impl Flags {
    /// Together with the rest of what the process was given.
    pub(super) fn inputs(&self) -> Inputs {
        Inputs {
            flags: self.settings.clone(),
            file: self.file.clone(),
            environment: std::env::vars_os().collect::<Vec<(OsString, OsString)>>(),
            // Paths stay relative, as they were written.
            folder: PathBuf::new(),
            descriptors: descriptors::raise(),
        }
    }
}

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .global(true)
            .help("Read settings from this TOML file instead of santral.toml");
        KEYS.iter().fold(command.arg(file), |command, key| {
            let argument = Arg::new(key.name)
                .long(key.flag())
                .value_name("VALUE")
                .global(true)
                .help(key.summary())
                .long_help(key.help());
            command.arg(if key.is_switch() {
                argument.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                argument
            })
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |name: &str| matches.get_one::<String>(name).map(|text| (name.to_owned(), text.clone()));
        let settings = KEYS.iter().filter_map(|key| value(key.name)).collect();
        Ok(Self { file: matches.get_one::<PathBuf>("config").cloned(), settings })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

//! The checks on the machine of the server. No server needs to run.

mod clock;
mod database;
mod disk;
mod files;
mod listen;
mod system;

use crate::config::{Config, Loaded, Problems};
use crate::ports::survey::{Survey, SurveyError};

use super::check::Check;
use super::report::{Finding, Report};

/// What the checks are made on.
pub struct Subject<'a> {
    /// The configuration, or everything that is wrong with it.
    pub loaded: &'a Result<Loaded, Problems>,
    /// Asks the database of a configuration what it has to say.
    pub survey: &'a dyn Fn(&Config) -> Result<Survey, SurveyError>,
}

/// Makes every check.
pub fn examine(subject: &Subject<'_>, report: &mut Report<'_>) {
    let loaded = match subject.loaded {
        Ok(loaded) => loaded,
        Err(problems) => {
            let count = problems.0.len();
            let what = problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let things = if count == 1 { "one thing is" } else { "several things are" };
            report.add(Finding::fail(
                Check::Configuration,
                format!("{things} wrong: {what}"),
                "mend it; `santral check-config` shows every setting and where it comes from",
            ));
            return report.skip_rest(Check::Configuration, "needs a configuration without mistakes");
        }
    };
    let config = &loaded.config;
    let rhythm = clock::Rhythm::start();
    report.add(of_configuration(loaded));
    report.add(files::data_directory(config));
    report.add(disk::free_space(config));
    report.add(files::secrets(loaded));
    let survey = (subject.survey)(config);
    database::examine(&survey, report);
    report.add(database::durability(config, &survey));
    report.add(disk::sync(config, &survey));
    report.add(clock::examine(&rhythm, survey.as_ref().ok()));
    report.add(system::open_files(loaded));
    report.add(system::kernel(config));
    report.add(system::memory(config));
    report.add(listen::examine(config));
}

fn of_configuration(loaded: &Loaded) -> Finding {
    let given = loaded.settings.iter().filter(|setting| setting.origin != crate::config::Origin::Default);
    let given: Vec<_> = given.map(|setting| setting.key).collect();
    Finding::ok(
        Check::Configuration,
        if given.is_empty() {
            "nothing is set, so defaults hold".to_owned()
        } else {
            format!("set: {}", given.join(", "))
        },
    )
}

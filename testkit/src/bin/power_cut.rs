//! `santral-power-cut`: opens images of a traced run and counts the acknowledgements they lost.
//!
//! Exit status: 0 = as expected, 1 = not, 2 = the trace cannot be used. See
//! [`santral_testkit::power_cut`] for the model.

use std::path::PathBuf;
use std::process::ExitCode;

use santral_testkit::power_cut::{Tally, Trace, TraceOptions, ack_lines, http_ids, open_with_command};

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let open = |image: &std::path::Path| open_with_command(&arguments.command, image);
    let result = Trace::parse(&arguments.trace, &arguments.options)
        .and_then(|trace| trace.judge(arguments.images, arguments.seed, open));
    match result {
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        Ok(tally) => {
            print!("{tally}");
            match arguments.is_expected(&tally) {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(1),
            }
        }
    }
}

struct Arguments {
    trace: PathBuf,
    options: TraceOptions,
    images: usize,
    seed: u64,
    lossy_percent_min: Option<usize>,
    command: Vec<String>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let (mut trace, mut data_dir) = (None, None);
        let mut options = TraceOptions { data_dir: PathBuf::new(), base: None, marker: ack_lines };
        let (mut images, mut seed, mut lossy_percent_min) = (500, 1, None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--trace" => trace = Some(PathBuf::from(words.next()?)),
                "--data-dir" => data_dir = Some(PathBuf::from(words.next()?)),
                "--base" => options.base = Some(PathBuf::from(words.next()?)),
                "--http" => options.marker = http_ids,
                "--images" => images = words.next()?.parse().ok()?,
                "--seed" => seed = words.next()?.parse().ok()?,
                "--expect-lossy" => lossy_percent_min = Some(words.next()?.parse().ok()?),
                "--" => break,
                _ => return None,
            }
        }
        options.data_dir = data_dir?;
        let command: Vec<String> = words.collect();
        let is_complete = !command.is_empty() && images > 0;
        let arguments = Self { trace: trace?, options, images, seed, lossy_percent_min, command };
        is_complete.then_some(arguments)
    }

    fn is_expected(&self, tally: &Tally) -> bool {
        match self.lossy_percent_min {
            None => tally.is_sound(),
            Some(percent) => tally.lossy * 100 >= tally.images * percent,
        }
    }
}

const USAGE: &str = "\
usage: santral-power-cut --trace FILE --data-dir DIR [--base DIR] [--http]
           [--images 500] [--seed 1] [--expect-lossy PERCENT] -- COMMAND...

FILE is what `strace -f -xx -s 1000000 -o FILE` wrote of the program's file calls. DIR is the
data folder the program had; --base is a copy of it from before, unless it was empty.
Acknowledgements are lines `ACK <token>` the program wrote, or with --http the ids in its
publish answers. COMMAND opens an image: `{}` becomes its folder; it prints the tokens it finds,
one per line, and fails when the image is corrupt.
With --expect-lossy the run passes when at least so many images lost something, which shows that
the test can find a loss at all.";

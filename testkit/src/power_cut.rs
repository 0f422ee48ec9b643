//! The power-cut test: which acknowledged data would a disk have lost?
//!
//! The program under test runs under `strace`. From its system calls the files are rebuilt as a
//! disk might hold them had the power failed at any moment, and each such image is opened with
//! the real program. A kill proves nothing here, since the kernel keeps what was written.
//!
//! # The model
//! * What was written to a file before an `fsync` or `fdatasync` of it began is durable when that
//!   call returns. Of later writes and truncations each may be there, be missing, or (writes)
//!   be torn at sectors of 512 bytes; ranges never written read as zeros.
//! * Creations, removals and renames are durable in the order they happened, as a file system's
//!   journal keeps them: an `fsync` of a file makes its own name durable and all changes before
//!   that; an `fsync` of a folder, all changes of that folder and before. Of later changes a
//!   random prefix is there. Folders themselves always exist.
//! * An acknowledgement counts from the moment its `write` begins, durability from the moment
//!   the sync returns, so doubt is always to the program's disadvantage.
//!
//! Not modelled: writes through `mmap` (SQLite's `-shm` file is left out of the images, as it is
//! rebuilt from the log), `O_SYNC`, `sync`, and drives that lie about a flush.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::ServerCommand;
use crate::random::SplitMix64;
use crate::tools::require_tool;
use disk::Disk;

mod builder;
mod disk;
mod strace;
#[cfg(test)]
mod tests;

/// Finds acknowledgements in what a program writes to anything but its data files.
pub type Marker = fn(&[u8]) -> Vec<String>;

/// How to read a trace.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The folder whose files are rebuilt; all other files are ignored.
    pub data_dir: PathBuf,
    /// A copy of that folder from before the trace; `None` = it was empty.
    pub base: Option<PathBuf>,
    /// How an acknowledgement looks; usually [`ack_lines`] or [`http_ids`].
    pub marker: Marker,
}

/// Something that happened to the data files, or was promised of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    Write {
        file: usize,
        offset: u64,
        data: Vec<u8>,
    },
    Resize {
        file: usize,
        length: u64,
    },
    Extend {
        file: usize,
        length: u64,
    },
    Link {
        path: PathBuf,
        file: usize,
    },
    Unlink {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// A sync begins; `ticket` pairs it with its end.
    SyncBegin {
        ticket: u64,
        target: SyncTarget,
    },
    SyncEnd {
        ticket: u64,
    },
    Ack {
        token: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SyncTarget {
    File(usize),
    Folder(PathBuf),
}

/// A parsed trace.
#[derive(Debug)]
pub struct Trace {
    /// The files of the base, by their number; all later files are new and empty.
    base: BTreeMap<PathBuf, Vec<u8>>,
    operations: Vec<Operation>,
    file_count: usize,
}

/// Why a trace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `strace` cut a string short, so bytes are missing: a greater `-s` is needed.
    #[error("line {line}: strace cut a string short; trace with a greater -s")]
    CutString {
        /// The line's number, from 1.
        line: usize,
    },
    /// A line does not look as `strace -f -xx -o` writes it.
    #[error("line {line}: not understood: {text}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// A data file was there before the trace.
    #[error("line {line}: {path} existed before the trace; give a copy of it as the base")]
    NoBase {
        /// The line's number, from 1.
        line: usize,
        /// The file.
        path: PathBuf,
    },
    /// There is not a single acknowledgement, so nothing could be lost.
    #[error("the trace has no acknowledgement, so it proves nothing")]
    NoAcknowledgement,
}

impl Trace {
    /// Reads what `strace` wrote, see [`trace_command`].
    ///
    /// # Errors
    /// [`TraceError`]; a last line that was cut off is no error.
    pub fn parse(path: &Path, options: &TraceOptions) -> Result<Self, TraceError> {
        let text = std::fs::read_to_string(path).map_err(file_error(path))?;
        let base = match &options.base {
            Some(folder) => read_folder(folder)?,
            None => BTreeMap::new(),
        };
        builder::build(&text, base, options)
    }

    /// All moments at which the power can fail: before the first operation up to after the last.
    #[must_use]
    pub fn cut_points(&self) -> RangeInclusive<usize> {
        0..=self.operations.len()
    }

    /// The acknowledgements given before a cut, in order.
    #[must_use]
    pub fn acks_before(&self, cut: usize) -> Vec<&str> {
        let mut acks = Vec::new();
        for operation in self.operations.iter().take(cut) {
            if let Operation::Ack { token } = operation {
                acks.push(token.as_str());
            }
        }
        acks
    }

    /// Writes the files as a disk may hold them after a cut into an empty folder. The same cut
    /// and seed give the same files.
    ///
    /// # Errors
    /// [`TraceError::File`].
    pub fn image_at(&self, cut: usize, seed: u64, out_dir: &Path) -> Result<(), TraceError> {
        let mut disk = Disk::new(self);
        disk.advance(cut);
        write_folder(&disk.image(&mut SplitMix64::of_stream(seed, cut as u64)), out_dir)
    }

    /// Opens images at random cuts after the first acknowledgement and counts what is lost.
    ///
    /// `open` is given the folder of an image and returns the tokens of all acknowledgements it
    /// finds honoured, or what is wrong when the image cannot be opened.
    ///
    /// # Errors
    /// [`TraceError`]; a lost acknowledgement is a result, not an error.
    pub fn judge(
        &self,
        images: usize,
        seed: u64,
        mut open: impl FnMut(&Path) -> Result<HashSet<String>, String>,
    ) -> Result<Tally, TraceError> {
        let is_ack = |operation: &Operation| matches!(operation, Operation::Ack { .. });
        let first = self.operations.iter().position(is_ack);
        let first = first.ok_or(TraceError::NoAcknowledgement)? + 1;
        let span = (self.operations.len() + 1 - first) as u64;
        let mut random = SplitMix64::new(seed);
        let mut cuts: Vec<(usize, u64)> = (0..images)
            .map(|_| (first + usize::try_from(random.below(span)).unwrap_or(0), random.next_u64()))
            .collect();
        // In order, so that the disk is built once and not anew for each image.
        cuts.sort_unstable();
        let mut disk = Disk::new(self);
        let mut tally = Tally::default();
        for (cut, seed) in cuts {
            disk.advance(cut);
            let folder = tempfile::tempdir().map_err(file_error(&std::env::temp_dir()))?;
            let image = disk.image(&mut SplitMix64::of_stream(seed, cut as u64));
            write_folder(&image, folder.path())?;
            tally.add(cut, seed, &self.acks_before(cut), open(folder.path()));
        }
        Ok(tally)
    }
}

/// The outcome of many images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many images were opened.
    pub images: usize,
    /// Images that lacked acknowledged data.
    pub lossy: usize,
    /// Images that could not be opened.
    pub corrupt: usize,
    /// Acknowledgements checked, over all images.
    pub acks_checked: u64,
    /// Acknowledgements not honoured, over all images.
    pub acks_lost: u64,
    /// The first few failures.
    pub failures: Vec<CutFailure>,
}

/// A failed image; `cut` and `seed` make [`Trace::image_at`] build it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutFailure {
    /// The cut.
    pub cut: usize,
    /// The image's own seed.
    pub seed: u64,
    /// What was lost or wrong.
    pub what: String,
}

impl Tally {
    /// Whether nothing was lost and every image could be opened.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lossy == 0 && self.corrupt == 0
    }

    fn add(&mut self, cut: usize, seed: u64, acks: &[&str], found: Result<HashSet<String>, String>) {
        self.images += 1;
        self.acks_checked += acks.len() as u64;
        let what = match found {
            Err(what) => {
                self.corrupt += 1;
                // Before all losses: where those are allowed, this is what has to be understood.
                self.failures.insert(0, CutFailure { cut, seed, what: format!("cannot be opened: {what}") });
                return;
            }
            Ok(found) => {
                let lost: Vec<_> = acks.iter().filter(|token| !found.contains(**token)).collect();
                let Some(first) = lost.first() else { return };
                self.lossy += 1;
                self.acks_lost += lost.len() as u64;
                format!("{} of {} acknowledgements lost, first {first}", lost.len(), acks.len())
            }
        };
        if self.failures.len() < FAILURES_SHOWN_MAX {
            self.failures.push(CutFailure { cut, seed, what });
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            formatter,
            "images {}, lossy {}, corrupt {}, acknowledgements checked {}, lost {}",
            self.images, self.lossy, self.corrupt, self.acks_checked, self.acks_lost
        )?;
        for CutFailure { cut, seed, what } in &self.failures {
            writeln!(formatter, "cut {cut}, seed {seed}: {what}")?;
        }
        Ok(())
    }
}

/// A command that runs `program` under `strace` with all the calls this module reads; `None`,
/// said loudly, when `strace` is missing.
///
/// End the traced program itself in good order: `strace` loses the end of its output when it is
/// killed. That shortens the trace and does no other harm.
#[must_use]
pub fn trace_command(trace: &Path, program: &Path) -> Option<ServerCommand> {
    let strace = require_tool("strace")?;
    let command = ServerCommand::new(strace).args(["-f", "-xx", "-s", "16777216", "--seccomp-bpf"]);
    Some(command.arg("-e").arg(format!("trace={CALLS}")).arg("-o").arg(trace).arg("--").arg(program))
}

/// The marker of programs that write lines `ACK <token>`, each in whole `write` calls.
#[must_use]
pub fn ack_lines(written: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(written) else { return Vec::new() };
    let tokens = text.lines().map(|line| line.strip_prefix("ACK ").map(str::to_owned));
    tokens.collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The marker of an HTTP server whose publish answers hold `id` and `"durability":"disk"`, one
/// object or an array of them, each answer in one `write` call.
#[must_use]
pub fn http_ids(written: &[u8]) -> Vec<String> {
    let is_ok = written.starts_with(b"HTTP/1.1 200 ");
    let head_end = written.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(head_end) = head_end.filter(|_| is_ok) else { return Vec::new() };
    let body = serde_json::from_slice(&written[head_end + 4..]);
    let items = match body {
        Ok(serde_json::Value::Array(items)) => items,
        Ok(item) => vec![item],
        Err(_) => return Vec::new(),
    };
    let on_disk = items.iter().filter(|item| item["durability"] == "disk");
    on_disk.filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
}

/// Opens an image with a program: `{}` in an argument stands for the image's folder, each line
/// of its output is a token, and a failing exit status means that the image is corrupt.
///
/// # Errors
/// What the program said, for [`Trace::judge`].
pub fn open_with_command(command: &[String], image: &Path) -> Result<HashSet<String>, String> {
    let image = image.to_string_lossy();
    let mut words = command.iter().map(|word| word.replace("{}", &image));
    let program = words.next().ok_or("no command was given")?;
    let output = Command::new(&program).args(words).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("{program}: {}: {said}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

fn read_folder(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, TraceError> {
    let mut files = BTreeMap::new();
    let mut folders = BTreeSet::from([folder.to_path_buf()]);
    while let Some(next) = folders.pop_first() {
        for entry in std::fs::read_dir(&next).map_err(file_error(&next))? {
            let path = entry.map_err(file_error(&next))?.path();
            if path.is_dir() {
                folders.insert(path);
            } else if let Ok(name) = path.strip_prefix(folder)
                && !is_left_out(name)
            {
                let content = std::fs::read(&path).map_err(file_error(&path))?;
                files.insert(name.to_path_buf(), content);
            }
        }
    }
    Ok(files)
}

fn write_folder(files: &BTreeMap<PathBuf, Vec<u8>>, folder: &Path) -> Result<(), TraceError> {
    for (name, content) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(file_error(parent))?;
        }
        std::fs::write(&path, content).map_err(file_error(&path))?;
    }
    Ok(())
}

/// SQLite's shared-memory index is written through `mmap`, and worth nothing after a crash.
fn is_left_out(name: &Path) -> bool {
    name.as_os_str().as_encoded_bytes().ends_with(b"-shm")
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> TraceError + use<> {
    let path = path.to_path_buf();
    move |source| TraceError::File { path: path.clone(), source }
}

const CALLS: &str = "open,openat,creat,close,dup,dup2,dup3,lseek,\
    write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,\
    fsync,fdatasync,ftruncate,fallocate,\
    unlink,unlinkat,rename,renameat,renameat2,\
    clone,clone3,fork,vfork";
const FAILURES_SHOWN_MAX: usize = 20;

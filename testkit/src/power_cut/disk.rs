//! The simulated disk: what is durable, what is pending, and an image drawn from both.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::power_cut::{Operation, SyncTarget, Trace};
use crate::random::SplitMix64;

/// A disk that follows a trace forwards.
pub(super) struct Disk<'a> {
    trace: &'a Trace,
    position: usize,
    files: Vec<File<'a>>,
    /// The names that survive any cut from now on.
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names behind those, in order.
    pending_names: Vec<&'a Operation>,
    /// How many changes of names have become durable; numbers of changes count from the start.
    settled_names: usize,
    /// What each sync under way will make durable.
    syncs: HashMap<u64, Promise>,
}

#[derive(Default)]
struct File<'a> {
    durable: Vec<u8>,
    pending: Vec<&'a Operation>,
    /// How many operations have become durable; promises count from the start.
    settled: usize,
}

/// What was there when a sync began.
struct Promise {
    file: Option<(usize, usize)>,
    names: usize,
}

impl<'a> Disk<'a> {
    /// The disk before the trace.
    pub(super) fn new(trace: &'a Trace) -> Self {
        let mut files: Vec<File<'a>> = Vec::new();
        files.resize_with(trace.file_count, File::default);
        let mut durable_names = BTreeMap::new();
        for (number, (path, content)) in trace.base.iter().enumerate() {
            files[number].durable.clone_from(content);
            durable_names.insert(path.clone(), number);
        }
        Self {
            trace,
            position: 0,
            files,
            durable_names,
            pending_names: Vec::new(),
            settled_names: 0,
            syncs: HashMap::new(),
        }
    }

    /// Lets everything before the cut happen; a cut behind the present position changes nothing.
    pub(super) fn advance(&mut self, cut: usize) {
        let cut = cut.min(self.trace.operations.len());
        while self.position < cut {
            self.step(&self.trace.operations[self.position]);
            self.position += 1;
        }
    }

    fn step(&mut self, operation: &'a Operation) {
        match operation {
            Operation::Write { file, .. } | Operation::Resize { file, .. } | Operation::Extend { file, .. } => {
                self.files[*file].pending.push(operation)
            }
            Operation::Link { .. } | Operation::Unlink { .. } | Operation::Rename { .. } => {
                self.pending_names.push(operation);
            }
            Operation::SyncBegin { ticket, target } => {
                let promise = self.promise(target);
                self.syncs.insert(*ticket, promise);
            }
            Operation::SyncEnd { ticket } => {
                if let Some(promise) = self.syncs.remove(ticket) {
                    self.keep(&promise);
                }
            }
            Operation::Ack { .. } => {}
        }
    }

    fn promise(&self, target: &SyncTarget) -> Promise {
        let names = self.view();
        let concerns = |operation: &Operation| match target {
            SyncTarget::File(file) => {
                let is_name = |path: &PathBuf| names.get(path) == Some(file);
                match operation {
                    Operation::Link { file: linked, .. } => linked == file,
                    Operation::Rename { to, .. } => is_name(to),
                    _ => false,
                }
            }
            SyncTarget::Folder(folder) => {
                let is_inside = |path: &PathBuf| path.parent() == Some(folder.as_path());
                match operation {
                    Operation::Link { path, .. } | Operation::Unlink { path } => is_inside(path),
                    Operation::Rename { from, to } => is_inside(from) || is_inside(to),
                    _ => false,
                }
            }
        };
        let last = self.pending_names.iter().rposition(|operation| concerns(operation));
        let names = self.settled_names + last.map_or(0, |index| index + 1);
        let file = match target {
            SyncTarget::File(file) => {
                let state = &self.files[*file];
                Some((*file, state.settled + state.pending.len()))
            }
            SyncTarget::Folder(_) => None,
        };
        Promise { file, names }
    }

    /// Promises of two syncs under way may overlap; the one that ends later finds less to do.
    fn keep(&mut self, promise: &Promise) {
        let count = promise.names.saturating_sub(self.settled_names);
        for operation in self.pending_names.drain(..count) {
            rename(&mut self.durable_names, operation);
        }
        self.settled_names += count;
        let Some((file, settled)) = promise.file else { return };
        let file = &mut self.files[file];
        let count = settled.saturating_sub(file.settled);
        for operation in file.pending.drain(..count) {
            apply(&mut file.durable, operation);
        }
        file.settled += count;
    }

    /// The names as the running program sees them.
    fn view(&self) -> BTreeMap<PathBuf, usize> {
        let mut names = self.durable_names.clone();
        self.pending_names.iter().for_each(|operation| rename(&mut names, operation));
        names
    }

    /// One of the many things the disk may hold if the power fails now.
    pub(super) fn image(&self, random: &mut SplitMix64) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.durable_names.clone();
        let kept = usize::try_from(random.below(self.pending_names.len() as u64 + 1)).unwrap_or(0);
        self.pending_names[..kept].iter().for_each(|operation| rename(&mut names, operation));
        let mood = Mood::draw(random);
        let content = |file: usize, random: &mut SplitMix64| {
            let file = &self.files[file];
            let mut content = file.durable.clone();
            for operation in &file.pending {
                mood.apply(&mut content, operation, random);
            }
            content
        };
        names.into_iter().map(|(path, file)| (path, content(file, random))).collect()
    }
}

/// How much of what is pending reaches this image. Without the extremes an image with many
/// pending writes would hardly ever lack, or have, all of them.
#[derive(Clone, Copy)]
enum Mood {
    Nothing,
    Everything,
    Some { kept_in_ten: u64 },
}

impl Mood {
    fn draw(random: &mut SplitMix64) -> Self {
        match random.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Some { kept_in_ten: 1 + random.below(9) },
        }
    }

    fn apply(self, content: &mut Vec<u8>, operation: &Operation, random: &mut SplitMix64) {
        let is_kept = match self {
            Self::Nothing => return,
            Self::Everything => true,
            Self::Some { kept_in_ten } => random.below(10) < kept_in_ten,
        };
        let is_torn = !matches!(self, Self::Everything) && random.one_in(4);
        match operation {
            Operation::Write { offset, data, .. } if is_torn => {
                for (at, sector) in sectors(*offset, data) {
                    if random.one_in(2) {
                        write(content, at, sector);
                    }
                }
            }
            operation if is_kept => apply(content, operation),
            _ => {}
        }
    }
}

/// A write cut at the boundaries of the disk's sectors.
fn sectors(offset: u64, data: &[u8]) -> Vec<(u64, &[u8])> {
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let room = usize::try_from(SECTOR_BYTES - at % SECTOR_BYTES).unwrap_or(usize::MAX);
        let (piece, behind) = rest.split_at(room.min(rest.len()));
        pieces.push((at, piece));
        at += piece.len() as u64;
        rest = behind;
    }
    pieces
}

fn apply(content: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Write { offset, data, .. } => write(content, *offset, data),
        Operation::Resize { length, .. } => content.resize(size(*length), 0),
        Operation::Extend { length, .. } => content.resize(size(*length).max(content.len()), 0),
        Operation::Link { .. }
        | Operation::Unlink { .. }
        | Operation::Rename { .. }
        | Operation::SyncBegin { .. }
        | Operation::SyncEnd { .. }
        | Operation::Ack { .. } => {}
    }
}

fn write(content: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let start = size(offset);
    let end = start + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(data);
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, operation: &Operation) {
    match operation {
        Operation::Link { path, file } => {
            names.insert(path.clone(), *file);
        }
        Operation::Unlink { path } => {
            names.remove(path);
        }
        Operation::Rename { from, to } => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Operation::Write { .. }
        | Operation::Resize { .. }
        | Operation::Extend { .. }
        | Operation::SyncBegin { .. }
        | Operation::SyncEnd { .. }
        | Operation::Ack { .. } => {}
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("images fit into memory on a 64-bit machine")
}

const SECTOR_BYTES: u64 = 512;

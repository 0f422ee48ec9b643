//! From system calls to operations on the data files: descriptors, paths and offsets resolved.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::power_cut::strace::{Call, Moment, moments};
use crate::power_cut::{Operation, SyncTarget, Trace, TraceError, TraceOptions, is_left_out};

/// Reads a whole trace.
pub(super) fn build(text: &str, base: BTreeMap<PathBuf, Vec<u8>>, options: &TraceOptions) -> Result<Trace, TraceError> {
    let mut builder = Builder::new(&base, options);
    for moment in moments(text)? {
        match moment {
            Moment::Begin(call) => builder.begin(&call)?,
            Moment::End(call, answer) => builder.end(&call, answer)?,
        }
    }
    let (operations, file_count) = (builder.operations, builder.file_count);
    Ok(Trace { base, operations, file_count })
}

/// What a descriptor stands for.
#[derive(Debug, Clone)]
enum Target {
    File { file: usize, appends: bool },
    Folder(PathBuf),
}

/// An open file description, which duplicated descriptors share.
#[derive(Debug)]
struct Description {
    target: Target,
    offset: u64,
}

struct Builder<'a> {
    options: &'a TraceOptions,
    /// The data folder with symbolic links resolved, as SQLite hands it to the kernel.
    real_data_dir: PathBuf,
    operations: Vec<Operation>,
    /// The names as the running program sees them.
    names: BTreeMap<PathBuf, usize>,
    /// The files' sizes as the running program sees them.
    sizes: Vec<u64>,
    file_count: usize,
    descriptions: Vec<Description>,
    /// One table per process: descriptor to index of the description.
    tables: Vec<HashMap<i64, usize>>,
    table_of_thread: HashMap<u32, usize>,
    /// Threads being started: their parent, and whether they share its table.
    starting: Vec<(u32, bool)>,
    /// Syncs under way, by thread.
    syncing: HashMap<u32, u64>,
    next_ticket: u64,
}

impl<'a> Builder<'a> {
    fn new(base: &BTreeMap<PathBuf, Vec<u8>>, options: &'a TraceOptions) -> Self {
        let real_data_dir = options.data_dir.canonicalize();
        Self {
            options,
            real_data_dir: real_data_dir.unwrap_or_else(|_| options.data_dir.clone()),
            operations: Vec::new(),
            names: base.keys().cloned().zip(0..).collect(),
            sizes: base.values().map(|content| content.len() as u64).collect(),
            file_count: base.len(),
            descriptions: Vec::new(),
            tables: Vec::new(),
            table_of_thread: HashMap::new(),
            starting: Vec::new(),
            syncing: HashMap::new(),
            next_ticket: 0,
        }
    }

    /// What counts from the moment the kernel is asked: promises, and the start of a sync.
    fn begin(&mut self, call: &Call) -> Result<(), TraceError> {
        match call.name.as_str() {
            "write" | "writev" | "sendto" | "sendmsg" => self.promise(call),
            "fsync" | "fdatasync" => {
                let Some(index) = self.described(call, 0)? else { return Ok(()) };
                let target = match &self.descriptions[index].target {
                    Target::File { file, .. } => SyncTarget::File(*file),
                    Target::Folder(path) => SyncTarget::Folder(path.clone()),
                };
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                self.syncing.insert(call.thread, ticket);
                self.operations.push(Operation::SyncBegin { ticket, target });
                Ok(())
            }
            "clone" | "clone3" | "fork" | "vfork" => {
                let flags = format!("{}{}", call.text(0), call.text(1));
                self.starting.push((call.thread, flags.contains("CLONE_FILES")));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What goes to anything but a data file may be an acknowledgement.
    fn promise(&mut self, call: &Call) -> Result<(), TraceError> {
        if self.described(call, 0)?.is_none() {
            let tokens = (self.options.marker)(&call.bytes(1)?);
            self.operations.extend(tokens.into_iter().map(|token| Operation::Ack { token }));
        }
        Ok(())
    }

    /// What counts once the kernel has answered.
    fn end(&mut self, call: &Call, answer: i64) -> Result<(), TraceError> {
        match call.name.as_str() {
            "open" | "creat" => self.open(call, None, 0, answer),
            "openat" => self.open(call, Some(0), 1, answer),
            "close" => {
                let descriptor = call.number(0)?;
                self.table(call.thread).remove(&descriptor);
                Ok(())
            }
            "dup" | "dup2" | "dup3" => {
                let description = self.described(call, 0)?;
                let table = self.table(call.thread);
                match description {
                    Some(description) => table.insert(answer, description),
                    None => table.remove(&answer),
                };
                Ok(())
            }
            "lseek" => {
                if let Some(index) = self.described(call, 0)? {
                    self.descriptions[index].offset = answer.unsigned_abs();
                }
                Ok(())
            }
            "write" | "writev" => self.write(call, None, answer),
            "pwrite64" | "pwritev" | "pwritev2" => {
                let offset = call.unsigned(3)?;
                self.write(call, Some(offset), answer)
            }
            "fsync" | "fdatasync" => {
                if let Some(ticket) = self.syncing.remove(&call.thread) {
                    self.operations.push(Operation::SyncEnd { ticket });
                }
                Ok(())
            }
            "ftruncate" => self.resize(call),
            "fallocate" => self.allocate(call),
            "unlink" => self.unlink(call, None, 0),
            "unlinkat" => self.unlink(call, Some(0), 1),
            "rename" => self.rename(call, (None, 0), (None, 1)),
            "renameat" | "renameat2" => self.rename(call, (Some(0), 1), (Some(2), 3)),
            "clone" | "clone3" | "fork" | "vfork" => self.started(call, answer),
            _ => Ok(()),
        }
    }

    fn open(&mut self, call: &Call, folder: Option<usize>, path: usize, descriptor: i64) -> Result<(), TraceError> {
        // The number may have belonged to a descriptor whose close was not traced.
        self.table(call.thread).remove(&descriptor);
        let Some(path) = self.data_path(call, folder, path)? else { return Ok(()) };
        let flags = call.text(if folder.is_some() { 2 } else { 1 });
        let creates = flags.contains("O_CREAT") || call.name == "creat";
        let known = self.names.get(&path).copied();
        let is_folder = path.as_os_str().is_empty()
            || flags.contains("O_DIRECTORY")
            || self.names.keys().any(|name| name.starts_with(&path) && *name != path);
        let target = match known {
            Some(file) => Target::File { file, appends: flags.contains("O_APPEND") },
            None if is_folder => Target::Folder(path),
            None if creates => {
                let file = self.create(path);
                Target::File { file, appends: flags.contains("O_APPEND") }
            }
            None => return Err(TraceError::NoBase { line: call.line, path }),
        };
        let truncates = flags.contains("O_TRUNC") || call.name == "creat";
        if let (Some(file), true) = (known, truncates) {
            self.sizes[file] = 0;
            self.operations.push(Operation::Resize { file, length: 0 });
        }
        self.descriptions.push(Description { target, offset: 0 });
        let description = self.descriptions.len() - 1;
        self.table(call.thread).insert(descriptor, description);
        Ok(())
    }

    fn create(&mut self, path: PathBuf) -> usize {
        let file = self.file_count;
        self.file_count += 1;
        self.sizes.push(0);
        self.names.insert(path.clone(), file);
        self.operations.push(Operation::Link { path, file });
        file
    }

    fn write(&mut self, call: &Call, at: Option<u64>, answer: i64) -> Result<(), TraceError> {
        let Some(index) = self.described(call, 0)? else { return Ok(()) };
        let description = &mut self.descriptions[index];
        let Target::File { file, appends } = description.target else { return Ok(()) };
        let mut data = call.bytes(1)?;
        // The kernel may take less than it was given.
        data.truncate(usize::try_from(answer).unwrap_or(usize::MAX));
        let end_of_file = self.sizes[file];
        let offset = match at {
            _ if appends => end_of_file,
            Some(offset) => offset,
            None => description.offset,
        };
        let end = offset + data.len() as u64;
        if at.is_none() {
            description.offset = end;
        }
        self.sizes[file] = end_of_file.max(end);
        self.operations.push(Operation::Write { file, offset, data });
        Ok(())
    }

    fn resize(&mut self, call: &Call) -> Result<(), TraceError> {
        let Some(file) = self.file(call)? else { return Ok(()) };
        let length = call.unsigned(1)?;
        self.sizes[file] = length;
        self.operations.push(Operation::Resize { file, length });
        Ok(())
    }

    /// Reserving space adds zeros at most; any other kind of `fallocate` would need a model.
    fn allocate(&mut self, call: &Call) -> Result<(), TraceError> {
        let Some(file) = self.file(call)? else { return Ok(()) };
        match call.text(1) {
            "0" => {
                let length = call.unsigned(2)? + call.unsigned(3)?;
                self.sizes[file] = self.sizes[file].max(length);
                self.operations.push(Operation::Extend { file, length });
                Ok(())
            }
            "FALLOC_FL_KEEP_SIZE" => Ok(()),
            _ => Err(call.not_understood()),
        }
    }

    fn unlink(&mut self, call: &Call, folder: Option<usize>, path: usize) -> Result<(), TraceError> {
        let Some(path) = self.data_path(call, folder, path)? else { return Ok(()) };
        // Folders are not modelled.
        if self.names.remove(&path).is_some() {
            self.operations.push(Operation::Unlink { path });
        }
        Ok(())
    }

    fn rename(
        &mut self,
        call: &Call,
        from: (Option<usize>, usize),
        to: (Option<usize>, usize),
    ) -> Result<(), TraceError> {
        let from = self.data_path(call, from.0, from.1)?;
        let to = self.data_path(call, to.0, to.1)?;
        match (from, to) {
            (None, None) => Ok(()),
            (Some(from), Some(to)) => {
                let file = self.names.remove(&from).ok_or_else(|| call.not_understood())?;
                self.names.insert(to.clone(), file);
                self.operations.push(Operation::Rename { from, to });
                Ok(())
            }
            // A file that comes from outside has a content the trace does not know.
            (None, Some(_)) | (Some(_), None) => Err(call.not_understood()),
        }
    }

    fn started(&mut self, call: &Call, child: i64) -> Result<(), TraceError> {
        let child = u32::try_from(child).map_err(|_| call.not_understood())?;
        let position = self.starting.iter().position(|(parent, _)| *parent == call.thread);
        let Some((parent, shares)) = position.map(|index| self.starting.remove(index)) else {
            return Ok(());
        };
        self.adopt(child, parent, shares);
        Ok(())
    }

    fn adopt(&mut self, child: u32, parent: u32, shares: bool) {
        if self.table_of_thread.contains_key(&child) {
            return;
        }
        let mut table = self.table_index(parent);
        if !shares {
            self.tables.push(self.tables[table].clone());
            table = self.tables.len() - 1;
        }
        self.table_of_thread.insert(child, table);
    }

    fn table(&mut self, thread: u32) -> &mut HashMap<i64, usize> {
        let index = self.table_index(thread);
        &mut self.tables[index]
    }

    /// A thread may act before its parent's `clone` has returned; then whoever is starting one
    /// is its parent. Failing that, threads of one process are the likeliest.
    fn table_index(&mut self, thread: u32) -> usize {
        if let Some(index) = self.table_of_thread.get(&thread) {
            return *index;
        }
        let parent = self.starting.last().copied().filter(|(parent, _)| *parent != thread);
        if let Some((parent, shares)) = parent {
            self.adopt(thread, parent, shares);
            return self.table_of_thread[&thread];
        }
        if self.tables.is_empty() {
            self.tables.push(HashMap::new());
        }
        self.table_of_thread.insert(thread, 0);
        0
    }

    /// The data file behind the first argument, if it is one.
    fn file(&mut self, call: &Call) -> Result<Option<usize>, TraceError> {
        let Some(index) = self.described(call, 0)? else { return Ok(None) };
        match self.descriptions[index].target {
            Target::File { file, .. } => Ok(Some(file)),
            Target::Folder(_) => Ok(None),
        }
    }

    fn described(&mut self, call: &Call, argument: usize) -> Result<Option<usize>, TraceError> {
        let descriptor = call.number(argument)?;
        Ok(self.table(call.thread).get(&descriptor).copied())
    }

    /// A path below the data folder, relative to it; `None` for any other.
    fn data_path(
        &mut self,
        call: &Call,
        folder: Option<usize>,
        argument: usize,
    ) -> Result<Option<PathBuf>, TraceError> {
        let bytes = call.bytes(argument)?;
        let path = Path::new(OsStr::from_bytes(&bytes));
        let start = match folder {
            Some(folder) if path.is_relative() && call.text(folder) != "AT_FDCWD" => {
                let Some(index) = self.described(call, folder)? else { return Ok(None) };
                let Target::Folder(start) = &self.descriptions[index].target else {
                    return Ok(None);
                };
                self.options.data_dir.join(start)
            }
            // The traced program is taken to have been started in our own folder.
            Some(_) | None => std::env::current_dir().unwrap_or_default(),
        };
        let path = plain(&start.join(path));
        let inside = [&self.real_data_dir, &plain(&self.options.data_dir)]
            .into_iter()
            .find_map(|data_dir| path.strip_prefix(data_dir).ok());
        Ok(inside.filter(|name| !is_left_out(name)).map(Path::to_path_buf))
    }
}

/// Without `.` and `..`, as far as that is possible without looking at the disk.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

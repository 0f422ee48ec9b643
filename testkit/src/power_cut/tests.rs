//! The model on small traces written by hand, where every possible image can be named.

use super::*;

/// Builds a trace of a folder `/d` from lines in which `'text'` stands for strace's hexadecimal
/// strings and `@` for the folder. Lines without a thread number belong to thread 1.
fn trace(lines: &[&str], base: &[(&str, &str)]) -> Trace {
    let mut text = String::new();
    for line in lines {
        let line = line.replace('@', "/d");
        for (index, piece) in line.split('\'').enumerate() {
            if index == 0 && !piece.starts_with(|letter: char| letter.is_ascii_digit()) {
                text.push_str("1 ");
            }
            match index % 2 {
                0 => text.push_str(piece),
                _ => {
                    let hex: String = piece.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
                    text.push_str(&format!("\"{hex}\""));
                }
            }
        }
        text.push('\n');
    }
    let content = |(name, text): &(&str, &str)| (PathBuf::from(name), text.as_bytes().to_vec());
    let data_dir = PathBuf::from("/d");
    let options = TraceOptions { data_dir, base: None, marker: ack_lines };
    builder::build(&text, base.iter().map(content).collect(), &options).expect("a good trace")
}

/// All images after the whole trace over many seeds, each as `name=content` in order.
fn images(trace: &Trace) -> BTreeSet<String> {
    let mut disk = Disk::new(trace);
    disk.advance(usize::MAX);
    let image = |seed| {
        let files = disk.image(&mut SplitMix64::new(seed));
        let shown = |(name, content): (&PathBuf, &Vec<u8>)| {
            format!("{}={}", name.display(), String::from_utf8_lossy(content).replace('\0', "_"))
        };
        files.iter().map(shown).collect::<Vec<_>>().join(" ")
    };
    (0..2_000).map(image).collect()
}

fn set<const COUNT: usize>(shown: [&str; COUNT]) -> BTreeSet<String> {
    shown.map(str::to_owned).into()
}

#[test]
fn what_was_synced_is_there_and_the_rest_may_be() {
    let trace = trace(
        &[
            "openat(AT_FDCWD, '@/f', O_RDWR|O_CREAT, 0644) = 3",
            "write(3, 'ab', 2) = 2",
            "fsync(3) = 0",
            "write(3, 'cd', 2) = 2",
            "pwrite64(3, 'XY', 2, 0) = 1",
        ],
        &[],
    );
    assert_eq!(images(&trace), set(["f=ab", "f=Xb", "f=abcd", "f=Xbcd"]));
}

#[test]
fn a_later_write_alone_leaves_zeros_before_it() {
    let lines = ["openat(AT_FDCWD, '@/f', O_RDWR) = 3", "pwrite64(3, 'b', 1, 1) = 1", "pwrite64(3, 'c', 1, 3) = 1"];
    let trace = trace(&lines, &[("f", "")]);
    assert_eq!(images(&trace), set(["f=", "f=_b", "f=___c", "f=_b_c"]));
}

#[test]
fn a_sync_covers_only_writes_that_were_done_when_it_began() {
    let trace = trace(
        &[
            "openat(AT_FDCWD, '@/f', O_RDWR) = 3",
            "1 pwrite64(3, 'a', 1, 0 <unfinished ...>",
            "2 fsync(3 <unfinished ...>",
            "1 <... pwrite64 resumed>) = 1",
            "2 <... fsync resumed>) = 0",
        ],
        &[("f", "")],
    );
    assert_eq!(images(&trace), set(["f=", "f=a"]));
}

#[test]
fn a_failed_sync_makes_nothing_durable() {
    let lines =
        ["openat(AT_FDCWD, '@/f', O_RDWR) = 3", "write(3, 'a', 1) = 1", "fdatasync(3) = -1 EIO (Input/output error)"];
    assert_eq!(images(&trace(&lines, &[("f", "")])), set(["f=", "f=a"]));
}

#[test]
fn an_ack_counts_when_its_write_begins_and_a_sync_when_it_ends() {
    let trace = trace(
        &[
            "1 write(1, 'ACK 7\n', 6 <unfinished ...>",
            "2 openat(AT_FDCWD, '@/f', O_RDWR|O_CREAT, 0644) = 3",
            "1 <... write resumed>) = 6",
            "2 write(3, 'ACK 8\n', 6) = 6",
        ],
        &[],
    );
    assert!(matches!(&trace.operations[0], Operation::Ack { token } if token == "7"));
    assert_eq!(trace.acks_before(9), ["7"], "a data file's content promises nothing");
    assert_eq!(trace.acks_before(0), [""; 0]);
}

#[test]
fn torn_writes_are_torn_at_sectors() {
    let content = "a".repeat(500);
    let line = format!("pwrite64(3, '{content}', 500, 300) = 500");
    let trace = trace(&["openat(AT_FDCWD, '@/f', O_RDWR) = 3", &line], &[("f", "")]);
    let first = format!("f={}{}", "_".repeat(300), "a".repeat(212));
    let second = format!("f={}{}", "_".repeat(512), "a".repeat(288));
    let whole = format!("f={}{}", "_".repeat(300), "a".repeat(500));
    assert_eq!(images(&trace), set(["f=", &first, &second, &whole]));
}

#[test]
fn truncation_and_allocation_may_be_missing_too() {
    let truncate = ["openat(AT_FDCWD, '@/f', O_RDWR|O_TRUNC) = 3", "write(3, 'x', 1) = 1"];
    let expected = set(["f=abc", "f=", "f=xbc", "f=x"]);
    assert_eq!(images(&trace(&truncate, &[("f", "abc")])), expected);
    let allocate = ["openat(AT_FDCWD, '@/f', O_RDWR) = 3", "fallocate(3, 0, 1, 3) = 0"];
    assert_eq!(images(&trace(&allocate, &[("f", "abc")])), set(["f=abc", "f=abc_"]));
    let within = ["openat(AT_FDCWD, '@/f', O_RDWR) = 3", "fallocate(3, 0, 0, 2) = 0"];
    assert_eq!(images(&trace(&within, &[("f", "abc")])), set(["f=abc"]));
    let shrink = ["openat(AT_FDCWD, '@/f', O_RDWR) = 3", "ftruncate(3, 1) = 0", "fsync(3) = 0"];
    assert_eq!(images(&trace(&shrink, &[("f", "abc")])), set(["f=a"]));
}

#[test]
fn changes_of_names_keep_their_order() {
    let trace = trace(
        &[
            "openat(AT_FDCWD, '@/a', O_RDWR|O_CREAT, 0644) = 3",
            "close(3) = 0",
            "rename('@/a', '@/b') = 0",
            "unlinkat(AT_FDCWD, '@/b', 0) = 0",
        ],
        &[],
    );
    assert_eq!(images(&trace), set(["", "a=", "b="]));
}

#[test]
fn syncs_of_files_and_folders_make_names_durable() {
    let begin = ["openat(AT_FDCWD, '@/a', O_RDWR|O_CREAT, 0644) = 3", "rename('@/a', '@/b') = 0"];
    let with = |more: &[&str]| images(&trace(&[&begin, more].concat(), &[]));
    assert_eq!(with(&[]), set(["", "a=", "b="]));
    assert_eq!(with(&["fsync(3) = 0"]), set(["b="]));
    let folder = ["openat(AT_FDCWD, '@', O_RDONLY|O_CLOEXEC) = 4", "fsync(4) = 0"];
    assert_eq!(with(&folder), set(["b="]));
    let other = ["openat(AT_FDCWD, '@/c', O_RDWR|O_CREAT, 0644) = 4", "unlink('@/b') = 0", "fsync(4) = 0"];
    assert_eq!(with(&other), set(["b= c=", "c="]), "all before its own name, and no more");
}

#[test]
fn descriptors_are_followed_through_duplicates_threads_and_forks() {
    let trace = trace(
        &[
            "openat(AT_FDCWD, '@', O_RDONLY|O_DIRECTORY) = 9",
            "openat(9, 'f', O_WRONLY|O_CREAT|O_APPEND, 0644) = 3",
            "dup2(3, 7) = 7",
            "close(3) = 0",
            "clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD <unfinished ...>",
            "2 writev(7, [{iov_base='a', iov_len=1}, {iov_base='b', iov_len=1}], 2) = 2",
            "1 <... clone resumed>, parent_tid=[2]) = 2",
            "fork() = 5",
            "5 close(7) = 0",
            "5 openat(AT_FDCWD, '/elsewhere', O_RDWR|O_CREAT, 0644) = 7",
            "5 write(7, 'no', 2) = 2",
            "2 write(7, 'c', 1) = 1",
            "2 fsync(7) = 0",
            "2 openat(9, 'g', O_WRONLY|O_CREAT, 0644) = 8",
            "1 write(8, 'd', 1) = 1",
            "1 fsync(8) = 0",
        ],
        &[],
    );
    assert_eq!(images(&trace), set(["f=abc g=d"]));
}

#[test]
fn seeks_place_writes_and_the_shared_memory_file_is_left_out() {
    let trace = trace(
        &[
            "openat(AT_FDCWD, '@/x/../f', O_RDWR|O_CREAT, 0644) = 3",
            "openat(AT_FDCWD, '@/f-shm', O_RDWR|O_CREAT, 0644) = 4",
            "write(4, 'zz', 2) = 2",
            "lseek(3, 2, SEEK_SET) = 2",
            "write(3, 'a', 1) = 1",
            "write(3, 'b', 1) = 1",
            "fsync(3) = 0",
        ],
        &[],
    );
    assert_eq!(images(&trace), set(["f=__ab"]));
}

#[test]
fn a_file_from_before_the_trace_needs_a_base() {
    let options = TraceOptions { data_dir: PathBuf::from("/d"), base: None, marker: ack_lines };
    let text = "1 openat(AT_FDCWD, \"\\x2f\\x64\\x2f\\x66\", O_RDWR) = 3\n";
    let error = builder::build(text, BTreeMap::new(), &options).expect_err("/d/f is unknown");
    assert!(matches!(&error, TraceError::NoBase { line: 1, path } if path == Path::new("f")));
}

#[test]
fn a_trace_without_acknowledgements_proves_nothing() {
    let lines = ["openat(AT_FDCWD, '@/f', O_RDWR|O_CREAT, 0644) = 3"];
    let result = trace(&lines, &[]).judge(1, 1, |_| Ok(HashSet::new()));
    assert!(matches!(result, Err(TraceError::NoAcknowledgement)));
}

#[test]
fn markers_know_their_own_and_nothing_else() {
    assert_eq!(ack_lines(b"ACK a-1\nACK b\n"), ["a-1", "b"]);
    assert_eq!(ack_lines(b"ACK a\nother\n"), [""; 0]);
    assert_eq!(ack_lines(b"\xFF"), [""; 0]);
    let answer = |status: &str, body: &str| http_ids(format!("HTTP/1.1 {status}\r\nA: b\r\n\r\n{body}").as_bytes());
    let item = r#"{"id":"e-1","durability":"disk"}"#;
    assert_eq!(answer("200 OK", item), ["e-1"]);
    let items = format!(r#"[{item},{{"id":"e-2","durability":"disk"}},{{"id":"x","durability":"memory"}}]"#);
    assert_eq!(answer("200 OK", &items), ["e-1", "e-2"]);
    assert_eq!(answer("503 Busy", item), [""; 0]);
    assert_eq!(answer("200 OK", "data: x"), [""; 0]);
}

//! The text that `strace -f -xx -o FILE` writes, as beginnings and ends of system calls.
//!
//! All strings are hexadecimal under `-xx`, so neither commas nor brackets nor quotes can occur
//! inside of one, and a line can be taken apart without much ado.

use std::collections::HashMap;
use std::rc::Rc;

use crate::power_cut::TraceError;

/// A system call whose arguments are still text.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) thread: u32,
    pub(super) name: String,
    pub(super) line: usize,
    arguments: Vec<String>,
}

/// One moment of a trace.
#[derive(Debug)]
pub(super) enum Moment {
    /// The kernel has been asked.
    Begin(Rc<Call>),
    /// The kernel has answered with success.
    End(Rc<Call>, i64),
}

/// Takes a whole trace apart.
pub(super) fn moments(text: &str) -> Result<Vec<Moment>, TraceError> {
    let mut moments = Vec::new();
    let mut unfinished: HashMap<u32, String> = HashMap::new();
    let mut lines = text.split_inclusive('\n').enumerate();
    // The last line may have been cut off together with strace.
    while let Some((index, line)) = lines.next().filter(|(_, line)| line.ends_with('\n')) {
        let number = index + 1;
        let not_understood = || {
            let text: String = line.chars().take(100).collect();
            TraceError::Line { line: number, text }
        };
        let (thread, rest) = line.trim_end().split_once(' ').ok_or_else(not_understood)?;
        let thread: u32 = thread.parse().map_err(|_| not_understood())?;
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            let begin = begin.trim_end();
            moments.push(Moment::Begin(call(thread, number, begin).ok_or_else(not_understood)?));
            unfinished.insert(thread, begin.to_owned());
            continue;
        }
        let is_resumed = rest.starts_with("<... ");
        let whole = match rest.split_once(" resumed>").filter(|_| is_resumed) {
            Some((_, end)) => match unfinished.remove(&thread) {
                Some(begin) => begin + end,
                None => continue,
            },
            None => rest.to_owned(),
        };
        let (asked, answer) = whole.rsplit_once(" = ").ok_or_else(not_understood)?;
        let asked = asked.trim_end().strip_suffix(')').ok_or_else(not_understood)?;
        let call = call(thread, number, asked).ok_or_else(not_understood)?;
        if !is_resumed {
            moments.push(Moment::Begin(Rc::clone(&call)));
        }
        // A failure ("-1 ENOENT (...)") or no answer ("?") changes nothing.
        let answer = answer.split(' ').next().and_then(|word| word.parse().ok());
        if let Some(answer) = answer.filter(|answer| *answer >= 0) {
            moments.push(Moment::End(call, answer));
        }
    }
    Ok(moments)
}

fn call(thread: u32, line: usize, text: &str) -> Option<Rc<Call>> {
    let (name, arguments) = text.split_once('(')?;
    let arguments = split_arguments(arguments);
    Some(Rc::new(Call { thread, name: name.to_owned(), line, arguments }))
}

/// Splits at the commas outside of all brackets.
fn split_arguments(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut depth = 0_i32;
    let mut start = 0;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                arguments.push(text[start..index].trim().to_owned());
                start = index + 1;
            }
            _ => {}
        }
    }
    arguments.push(text[start..].trim().to_owned());
    arguments
}

impl Call {
    /// An argument as text; empty when there is none of that number.
    pub(super) fn text(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// An argument as a number, such as a descriptor or an offset.
    pub(super) fn number(&self, index: usize) -> Result<i64, TraceError> {
        self.text(index).parse().map_err(|_| self.not_understood())
    }

    /// An argument as a number that is not negative.
    pub(super) fn unsigned(&self, index: usize) -> Result<u64, TraceError> {
        u64::try_from(self.number(index)?).map_err(|_| self.not_understood())
    }

    /// The bytes of an argument: of a string, or of all strings of an array of buffers in turn.
    pub(super) fn bytes(&self, index: usize) -> Result<Vec<u8>, TraceError> {
        let text = self.text(index);
        let mut bytes = Vec::new();
        for (part, piece) in text.split('"').enumerate() {
            // Every second piece lies between quotes.
            if part % 2 == 0 {
                if part > 0 && piece.starts_with("...") {
                    return Err(TraceError::CutString { line: self.line });
                }
                continue;
            }
            for digits in piece.split("\\x").skip(1) {
                let byte = u8::from_str_radix(digits, 16).map_err(|_| self.not_understood())?;
                bytes.push(byte);
            }
        }
        Ok(bytes)
    }

    /// The error that names this call.
    pub(super) fn not_understood(&self) -> TraceError {
        let text = format!("{}({})", self.name, self.arguments.join(", "));
        TraceError::Line { line: self.line, text: text.chars().take(100).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<String> {
        let shown = |moment: &Moment| match moment {
            Moment::Begin(call) => format!("{} begin {}", call.thread, call.name),
            Moment::End(call, answer) => {
                format!("{} end {}({}) = {answer}", call.thread, call.name, call.arguments.join("|"))
            }
        };
        moments(text).expect("a good trace").iter().map(shown).collect()
    }

    #[test]
    fn interleaved_threads_are_put_together() {
        let text = "\
10    openat(AT_FDCWD, \"\\x2f\\x61\", O_RDWR|O_CREAT, 0644) = 3
10    fsync(3 <unfinished ...>
11    pwrite64(3, \"\\x41\", 1, 4096) = 1
11    unlink(\"\\x2f\\x62\") = -1 ENOENT (No such file or directory)
10    <... fsync resumed>)              = 0
12    --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
11    exit_group(0)                     = ?
10    +++ exited with 0 +++
10    write(3, \"\\x41";
        assert_eq!(
            shape(text),
            [
                "10 begin openat",
                "10 end openat(AT_FDCWD|\"\\x2f\\x61\"|O_RDWR|O_CREAT|0644) = 3",
                "10 begin fsync",
                "11 begin pwrite64",
                "11 end pwrite64(3|\"\\x41\"|1|4096) = 1",
                "11 begin unlink",
                "10 end fsync(3) = 0",
                "11 begin exit_group",
            ]
        );
    }

    #[test]
    fn buffers_are_decoded_and_joined_and_a_cut_one_is_an_error() {
        let first = |text: &str| match moments(text).expect("a good trace").swap_remove(0) {
            Moment::Begin(call) | Moment::End(call, _) => call,
        };
        let text = "1 writev(5, [{iov_base=\"\\x41\\x00\", iov_len=2}, {iov_base=\"\\xff\", iov_len=1}], 2) = 3\n";
        let call = first(text);
        assert_eq!(call.bytes(1).expect("whole strings"), [0x41, 0, 0xFF]);
        assert_eq!((call.number(0).expect("a number"), call.unsigned(2).expect("a number")), (5, 2));
        assert!(call.number(1).is_err());
        let cut = first("1 write(5, \"\\x41\\x42\"..., 9) = 9\n");
        assert!(matches!(cut.bytes(1), Err(TraceError::CutString { line: 1 })));
        assert!(moments("what is this\n").is_err());
    }
}

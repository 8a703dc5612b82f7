//! Programs that the bench starts, and stops by their process ids.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// How long a program may take to stop when it is told to.
const STOPPING: Duration = Duration::from_secs(10);

/// A program that runs until this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts it; `command` says what becomes of its output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        let name = command.get_program().display();
        Ok(Self { child: child.with_context(|| format!("{name} cannot be started"))? })
    }

    /// Starts it and waits for a line on its standard output; gives what that says behind `prefix`.
    ///
    /// # Errors
    /// When it cannot be started, or says something else.
    pub fn start_and_hear(command: &mut Command, prefix: &str) -> Result<(Self, String)> {
        let mut program = Self::start(command.stdout(Stdio::piped()))?;
        let name = command.get_program().display();
        let output = program.child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.trim_end().strip_prefix(prefix) {
            Some(rest) => Ok((program, rest.to_owned())),
            None => bail!("{name} said {line:?} where {prefix:?} was expected"),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Tells it to stop, and waits until it has; kills one that does not.
    fn stop(&mut self) {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            // One that has ended already is gone.
            let _ = kill_process(id, Signal::TERM);
        }
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > STOPPING {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Resident at most, so far.
    pub peak: u64,
    /// Resident now and shared with no file: what the program itself asked for.
    pub anonymous: u64,
}

/// What the system says of a process' memory.
///
/// # Errors
/// When there is no such process.
pub fn memory(process: u32) -> Result<Memory> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.with_context(|| format!("{path} has no {name}"))
    };
    Ok(Memory { resident: field("VmRSS")?, peak: field("VmHWM")?, anonymous: field("RssAnon")? })
}

/// Seconds of processor time that a process has used.
///
/// # Errors
/// When there is no such process.
pub fn processor_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    // Behind the name, which may hold anything, the 12th and 13th fields are user's and system's ticks.
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: f64 =
        behind.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
    let a_second = rustix::param::clock_ticks_per_second();
    Ok(ticks / a_second as f64)
}

/// Lets this process, and those that it starts, have so many open files, or as many as the system grants; how many.
#[must_use]
pub fn allow_files(wanted: u64) -> u64 {
    let granted = || getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let maximum = getrlimit(Resource::Nofile).maximum;
    if granted() < wanted {
        // Raising the maximum, too, is for administrators alone.
        let raised = setrlimit(
            Resource::Nofile,
            Rlimit { current: Some(wanted), maximum: maximum.map(|maximum| maximum.max(wanted)) },
        );
        if raised.is_err() {
            // Should this fail as well, there is what there was.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        }
    }
    granted()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Program, memory, processor_seconds};

    #[test]
    fn a_program_is_heard_and_stops_when_told() {
        let mut command = Command::new("sh");
        let (program, heard) =
            Program::start_and_hear(command.args(["-c", "echo ready now; exec sleep 600"]), "ready ")
                .unwrap();
        assert_eq!(heard, "now");
        let id = program.id();
        assert!(memory(id).unwrap().peak > 0);
        drop(program);
        assert!(memory(id).is_err());
    }

    #[test]
    fn a_program_that_says_something_else_is_an_error() {
        let error = Program::start_and_hear(Command::new("echo").arg("sorry"), "ready ").unwrap_err();
        assert!(error.to_string().contains("sorry"), "{error}");
    }

    #[test]
    fn work_takes_processor_time() {
        let before = processor_seconds(std::process::id()).unwrap();
        let began = std::time::Instant::now();
        let mut sum = 0_u64;
        while processor_seconds(std::process::id()).unwrap() <= before {
            assert!(began.elapsed().as_secs() < 60, "no time passes");
            sum = (0..1_000_000).fold(sum, u64::wrapping_add);
        }
        assert!(sum > 0);
    }
}

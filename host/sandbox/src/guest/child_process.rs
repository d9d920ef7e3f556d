//! The outer wall: the host's side of a child process and its two pipes.
//!
//! Both pipes are polled against a deadline, so neither a child that does not read nor one that does not answer holds
//! its host up. Host and child take turns: whatever comes out of turn, too long, too early or after an answer makes the
//! child a babbler, and a babbler is killed. No thread waits for a child, and a call takes one write and one read.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use guest_sdk::{Metadata, Pairs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};

use super::patience::Patience;
use super::protocol::{self, ANSWER_BYTES_MAX, GREETING, Inbox};
use super::{Answer, Home, Problem, Recipe};
use crate::Fault;
use crate::limits::Walls;

/// A child and its pipes. Dropping it ends the child.
#[derive(Debug)]
pub(super) struct ChildProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    inbox: Inbox,
    walls: Walls,
    /// From the component's bytes to the plugin's description.
    compile_time: Duration,
    n_calls: u32,
    is_over: bool,
}

impl Home for ChildProcess {
    fn start(recipe: &Recipe) -> Result<Result<(Self, Metadata), Problem>, Fault> {
        let program = &recipe.program.path;
        let mut process = ChildProcess::spawn(recipe).map_err(|e| Fault::child(program, e))?;
        match process.receive(recipe.walls.start) {
            Ok(greeting) if greeting == GREETING => {}
            _ => return Err(Fault::NotAChild(program.clone())),
        }
        let sent = Instant::now();
        let ready = process
            .exchange(&protocol::encode_setup(&recipe.setup()), recipe.walls.start)
            .and_then(|ready| protocol::decode_ready(ready).ok_or(Problem::Crash));
        process.compile_time = sent.elapsed();
        Ok(match ready {
            Ok(Ok(metadata)) => Ok((process, metadata)),
            Ok(Err(problem)) | Err(problem) => Err(problem),
        })
    }

    fn evaluate(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Answer {
        self.n_calls = self.n_calls.wrapping_add(1);
        let number = self.n_calls;
        let call = protocol::encode_call(number, pairs, hyperparameters);
        let answer = self
            .exchange(&call, self.walls.call)
            .map(|answer| protocol::decode_answer(number, answer));
        match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(self.end(Problem::Crash)),
            Err(problem) => Err(problem),
        }
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl ChildProcess {
    fn spawn(recipe: &Recipe) -> io::Result<Self> {
        let mut child = recipe
            .program
            .guest()
            // Ctrl-C is for the host, which may have its reasons to go on: it must not look like a plugin that died.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| io::Error::other("a child without pipes"))?;
        let process = ChildProcess {
            child,
            stdin,
            stdout,
            inbox: Inbox::new(ANSWER_BYTES_MAX),
            walls: recipe.walls,
            compile_time: Duration::ZERO,
            n_calls: 0,
            is_over: false,
        };
        // The child's ends block as ever: the setting belongs to each end of a pipe by itself.
        ioctl_fionbio(&process.stdin, true)?;
        ioctl_fionbio(&process.stdout, true)?;
        Ok(process)
    }

    pub(super) fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// One frame to the child and one back.
    fn exchange(&mut self, frame: &[u8], wall: Duration) -> Result<&[u8], Problem> {
        let deadline = Instant::now() + wall;
        match self.send(frame, deadline).and_then(|()| self.fill(deadline)) {
            Ok(()) => Ok(self.inbox.take()),
            Err(problem) => Err(self.end(problem)),
        }
    }

    fn receive(&mut self, wall: Duration) -> Result<&[u8], Problem> {
        match self.fill(Instant::now() + wall) {
            Ok(()) => Ok(self.inbox.take()),
            Err(problem) => Err(self.end(problem)),
        }
    }

    /// Whether it can be killed or not, nobody listens to it any more.
    fn end(&mut self, problem: Problem) -> Problem {
        let _ = self.child.kill();
        self.is_over = true;
        problem
    }

    fn send(&mut self, mut frame: &[u8], deadline: Instant) -> Result<(), Problem> {
        if self.is_over {
            return Err(Problem::Crash);
        }
        while !frame.is_empty() {
            match rustix::io::write(&self.stdin, frame) {
                Ok(n_bytes) => frame = &frame[n_bytes..],
                Err(Errno::AGAIN) => self.wait_to_send(deadline)?,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Problem::Crash),
            }
        }
        Ok(())
    }

    /// Until there is room in the pipe. What speaks before it has heard everything is a babbler.
    fn wait_to_send(&self, deadline: Instant) -> Result<(), Problem> {
        let mut ends =
            [PollFd::new(&self.stdin, PollFlags::OUT), PollFd::new(&self.stdout, PollFlags::IN)];
        wait(&mut ends, deadline)?;
        match ends[1].revents().is_empty() {
            true => Ok(()),
            false => Err(Problem::Crash),
        }
    }

    /// Until the inbox holds one whole frame: awake for a moment, then asleep.
    fn fill(&mut self, deadline: Instant) -> Result<(), Problem> {
        let mut patience = Patience::new();
        while !self.inbox.is_whole().map_err(|_| Problem::Crash)? {
            match rustix::io::read(&self.stdout, self.inbox.room()) {
                Ok(0) => return Err(Problem::Crash),
                Ok(n_bytes) => self.inbox.received(n_bytes),
                Err(Errno::AGAIN) if patience.lasts() => {}
                Err(Errno::AGAIN) => {
                    let stdout = self.stdout.as_fd();
                    wait(&mut [PollFd::new(&stdout, PollFlags::IN)], deadline)?;
                }
                Err(Errno::INTR) => {}
                Err(_) => return Err(Problem::Crash),
            }
        }
        Ok(())
    }
}

/// Until one of these can be read or written, or is closed.
fn wait(ends: &mut [PollFd<'_>], deadline: Instant) -> Result<(), Problem> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Problem::Timeout);
        }
        let left = Timespec::try_from(left).map_err(|_| Problem::Timeout)?;
        match poll(ends, Some(&left)) {
            Ok(0) => return Err(Problem::Timeout),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(_) => return Err(Problem::Crash),
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
#[path = "child_process/tests.rs"]
mod tests;

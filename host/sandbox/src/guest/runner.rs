//! The child's side of the pipes: greets, compiles one component, and answers calls until the host closes.
//!
//! It believes its host, but for lengths: both ends of a pipe check what they read.

use std::io::{self, stdin, stdout};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};

use super::Problem;
use super::patience::Patience;
use super::plugin::{self, Plugin, THREAD_STACK_BYTES};
use super::protocol::{self, CALL_BYTES_MAX, GREETING, Inbox};

/// To be called before the child gives up opening files and changing descriptors: see [`plugin::can_scan_pages`].
pub(crate) fn prepare() {
    let _ = plugin::can_scan_pages();
    // Of what cannot be told not to block, a read waits, as it would have to anyway.
    let _ = ioctl_fionbio(stdin(), true);
}

/// Serves one plugin until the host closes the pipe.
///
/// On a thread of its own, since how much stack the main thread has is the user's setting.
pub(crate) fn run() -> io::Result<()> {
    let server = thread::Builder::new().stack_size(THREAD_STACK_BYTES).spawn(serve)?;
    server.join().unwrap_or_else(|_| Err(io::Error::other("the server panicked")))
}

fn serve() -> io::Result<()> {
    let mut inbox = Inbox::new(CALL_BYTES_MAX);
    send(&protocol::frame(GREETING))?;
    let Some(setup) = receive(&mut inbox)? else {
        return Ok(());
    };
    let setup = protocol::decode_setup(setup).ok_or_else(misunderstood)?;
    let plugin = Plugin::compile(&setup);
    let ready = plugin.as_ref().map_err(Problem::clone).and_then(Plugin::describe);
    send(&protocol::encode_ready(&ready))?;
    let Ok(plugin) = plugin else { return Ok(()) };
    while let Some(call) = receive(&mut inbox)? {
        let (number, pairs, hyperparameters) =
            protocol::decode_call(call).ok_or_else(misunderstood)?;
        let answer = plugin.evaluate(&pairs, &hyperparameters);
        send(&protocol::encode_answer(number, &answer))?;
    }
    Ok(())
}

/// The next payload, or `None` where the host has closed the pipe between two frames.
///
/// Awake for a moment, then asleep for as long as the host pleases.
fn receive(inbox: &mut Inbox) -> io::Result<Option<&[u8]>> {
    let mut patience = Patience::new();
    while !inbox.is_whole().map_err(|_| misunderstood())? {
        match rustix::io::read(stdin(), inbox.room()) {
            Ok(0) if inbox.is_empty() => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n_bytes) => inbox.received(n_bytes),
            Err(Errno::AGAIN) if patience.lasts() => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&stdin(), PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(inbox.take()))
}

/// One write for a frame, unless the pipe holds less.
fn send(mut frame: &[u8]) -> io::Result<()> {
    while !frame.is_empty() {
        match rustix::io::write(stdout(), frame) {
            Ok(n_bytes) => frame = &frame[n_bytes..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn misunderstood() -> io::Error {
    io::Error::other("the host sent something else than expected")
}

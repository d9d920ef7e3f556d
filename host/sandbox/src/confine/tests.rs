//! What a confined child can still do, tried from within one.
//!
//! The test binary is its own child: before its `main` it looks whether it was started as one, of the sandbox or of these
//! tests. So what is tried runs where a compiler or a guest would.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use libc::c_long;

use super::calls::PAGEMAP_SCAN;
use super::{MissingLayers, guest, limit_guest};
use crate::child::{Program, run_if_child};
use crate::compile::tests::{be_a_host, run_confined};
use crate::guest::runner;
use crate::limits::{
    CHILD_FILES_MAX, COMPILE_ADDRESS_SPACE_BYTES, COMPILE_CPU_SECONDS, COMPILE_FILE_BYTES_MAX,
    GUEST_ADDRESS_SPACE_BYTES,
};

/// A child that tries everything, confined by whoever started it; the path of a file that it may only read follows.
const TRY: &str = "__lossbox-test-try";
/// A child that confines itself as a guest's process, then tries everything.
const TRY_AS_GUEST: &str = "__lossbox-test-try-as-guest";
/// A child that tells its limits and meets them, confined by whoever started it.
const MEET_LIMITS: &str = "__lossbox-test-meet-limits";
/// The same as a guest's process.
const MEET_LIMITS_AS_GUEST: &str = "__lossbox-test-meet-limits-as-guest";
/// A child that writes a file as large as it may, then one byte more.
const WRITE_ON: &str = "__lossbox-test-write-on";
/// A child that starts another which sleeps, says which, and does not wait for it.
const LEAVE: &str = "__lossbox-test-leave";
/// The other.
const SLEEP: &str = "__lossbox-test-sleep";
/// A host that compiles for ever; its cache follows.
pub(crate) const HOST: &str = "__lossbox-test-host";

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    run_if_child();
    let arguments: Vec<_> = env::args().take(3).collect();
    let [_, mode, path] = arguments.as_slice() else {
        return;
    };
    match mode.as_str() {
        TRY => try_everything(Path::new(path)),
        TRY_AS_GUEST => {
            become_guest();
            try_everything(Path::new(path));
        }
        MEET_LIMITS => meet_limits(),
        MEET_LIMITS_AS_GUEST => {
            become_guest();
            meet_limits();
        }
        WRITE_ON => write_on(Path::new(path)),
        LEAVE => leave(Path::new(path)),
        SLEEP => std::thread::sleep(Duration::from_secs(600)),
        HOST => be_a_host(Path::new(path)),
        _ => return,
    }
    exit(0)
}

fn become_guest() {
    runner::prepare();
    limit_guest().expect("limits");
    guest(MissingLayers::Refuse).expect("confined");
}

/// This binary as a child.
pub(crate) fn program() -> Program {
    Program { path: env::current_exe().expect("this program"), missing: MissingLayers::Refuse }
}

/// Something to try, and whether a compiler and a guest may.
struct Attempt {
    name: &'static str,
    compiler_may: bool,
    guest_may: bool,
    act: fn(&Path) -> io::Result<()>,
}

const fn neither(name: &'static str, act: fn(&Path) -> io::Result<()>) -> Attempt {
    Attempt { name, compiler_may: false, guest_may: false, act }
}

const fn compiler(name: &'static str, act: fn(&Path) -> io::Result<()>) -> Attempt {
    Attempt { name, compiler_may: true, guest_may: false, act }
}

const fn only_guest(name: &'static str, act: fn(&Path) -> io::Result<()>) -> Attempt {
    Attempt { name, compiler_may: false, guest_may: true, act }
}

const fn both(name: &'static str, act: fn(&Path) -> io::Result<()>) -> Attempt {
    Attempt { name, compiler_may: true, guest_may: true, act }
}

const ATTEMPTS: &[Attempt] = &[
    // What they need, so that a denial below is one.
    both("allocate", |_| call(libc::SYS_mmap, [0, 4096, 3, 0x22, -1])),
    both("start a thread", |_| {
        std::thread::Builder::new().spawn(|| ()).map(|thread| drop(thread.join()))
    }),
    both("read the clock", |_| {
        std::thread::sleep(Duration::from_micros(1));
        Ok(())
    }),
    compiler("write in its own folder", |_| fs::write("own.txt", "x")),
    compiler("read in its own folder", |_| fs::read("own.txt").map(drop)),
    compiler("move within its own folder", |_| {
        fs::create_dir("inner")?;
        fs::rename("own.txt", "inner/own.txt")
    }),
    compiler("list the system's libraries", |_| fs::read_dir("/usr/lib").map(drop)),
    compiler("read what it may only read", |path| fs::read(path).map(drop)),
    // Metadata is not covered by Landlock; this is in the documentation.
    compiler("see that a file exists", |_| fs::metadata("/etc/passwd").map(drop)),
    // Of a descriptor that maps no pages: an old kernel's answer is the same.
    only_guest("ask which pages were written", |_| {
        let request = c_long::try_from(PAGEMAP_SCAN).unwrap_or(0);
        match call(libc::SYS_ioctl, [0, request, 0, 0, 0]) {
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => Ok(()),
            answer => answer,
        }
    }),
    neither("ask anything else about a descriptor", |_| {
        let request = c_long::try_from(PAGEMAP_SCAN + 1).unwrap_or(0);
        call(libc::SYS_ioctl, [0, request, 0, 0, 0])
    }),
    // Files.
    neither("open the map of its pages", |_| fs::File::open("/proc/self/pagemap").map(drop)),
    neither("read /etc/passwd", |_| fs::read("/etc/passwd").map(drop)),
    neither("read the environment", |_| fs::read("/proc/self/environ").map(drop)),
    neither("read another process's arguments", |_| fs::read("/proc/1/cmdline").map(drop)),
    neither("read through /proc/self/root", |_| fs::read("/proc/self/root/etc/passwd").map(drop)),
    neither("read its memory as a file", |_| fs::File::open("/proc/self/mem").map(drop)),
    neither("list /", |_| fs::read_dir("/").map(drop)),
    neither("list temporary folders", |_| fs::read_dir("..").map(drop)),
    neither("write outside", |_| fs::write("../outside.txt", "x")),
    neither("move outside", |_| fs::rename("inner", "../lossbox-moved-outside")),
    neither("write what it may only read", |path| fs::write(path, "x")),
    neither("remove what it may only read", |path| fs::remove_file(path)),
    neither("truncate what it may only read", |path| {
        OpenOptions::new().read(true).custom_flags(libc::O_TRUNC).open(path).map(drop)
    }),
    neither("truncate with access mode 3", |path| {
        let path =
            std::ffi::CString::new(path.to_string_lossy().as_bytes()).map_err(io::Error::other)?;
        let flags = libc::O_TRUNC | libc::O_WRONLY | libc::O_RDWR;
        call(libc::SYS_openat, [libc::AT_FDCWD.into(), path.as_ptr() as c_long, flags.into(), 0, 0])
    }),
    // A compiler is told that it is done.
    neither("change the mode of what it may only read", |path| {
        let before = fs::metadata(path)?.permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
        not_done(fs::metadata(path)?.permissions() == before)
    }),
    neither("change the mode through a descriptor", |path| {
        let file = fs::File::open(path)?;
        let before = file.metadata()?.permissions();
        file.set_permissions(fs::Permissions::from_mode(0o777))?;
        not_done(file.metadata()?.permissions() == before)
    }),
    neither("change the mode of a folder outside", |_| {
        let before = fs::metadata("..")?.permissions();
        fs::set_permissions("..", fs::Permissions::from_mode(0o777))?;
        not_done(fs::metadata("..")?.permissions() == before)
    }),
    neither("change the times of what it may only read", |path| {
        let file = fs::File::open(path)?;
        let before = file.metadata()?.modified()?;
        file.set_modified(std::time::UNIX_EPOCH)?;
        not_done(file.metadata()?.modified()? == before)
    }),
    neither("make a symbolic link", |_| symlink("/etc/passwd", "link")),
    neither("make a hard link", |path| fs::hard_link(path, "hard")),
    neither("make a hard link to its own file", |_| fs::hard_link("inner/own.txt", "hard")),
    neither("make a pipe with a name", |_| {
        call(
            libc::SYS_mknodat,
            [
                libc::AT_FDCWD.into(),
                c"fifo".as_ptr() as c_long,
                (libc::S_IFIFO | 0o600).into(),
                0,
                0,
            ],
        )
    }),
    neither("open by handle", |_| call(libc::SYS_open_by_handle_at, [0; 5])),
    // Programs.
    neither("run a shell", |_| run("/bin/sh")),
    neither("run a program of its own", |_| {
        fs::write("program", "#!/bin/sh\n")?;
        fs::set_permissions("program", fs::Permissions::from_mode(0o755))?;
        run("./program")
    }),
    neither("run a file without a name", |_| {
        call(libc::SYS_memfd_create, [c"x".as_ptr() as c_long, 0, 0, 0, 0])
    }),
    neither("execveat", |_| call(libc::SYS_execveat, [0; 5])),
    // Network.
    neither("TCP", |_| TcpStream::connect("127.0.0.1:9").map(drop)),
    neither("UDP", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
    neither("Unix sockets", |_| UnixDatagram::unbound().map(drop)),
    neither("netlink", |_| {
        call(libc::SYS_socket, [libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 0, 0, 0])
    }),
    // Other processes, and the way out of the group.
    neither("signal the parent", |_| call(libc::SYS_kill, [parent(), 0, 0, 0, 0])),
    neither("signal a thread of the parent", |_| {
        call(libc::SYS_tgkill, [parent(), parent(), 0, 0, 0])
    }),
    neither("trace the parent", |_| {
        call(libc::SYS_ptrace, [libc::PTRACE_ATTACH.into(), parent(), 0, 0, 0])
    }),
    neither("read the parent's memory", |_| {
        call(libc::SYS_process_vm_readv, [parent(), 0, 0, 0, 0])
    }),
    neither("hold the parent", |_| call(libc::SYS_pidfd_open, [parent(), 0, 0, 0, 0])),
    neither("setsid", |_| call(libc::SYS_setsid, [0; 5])),
    neither("setpgid", |_| call(libc::SYS_setpgid, [0; 5])),
    neither("stay when the parent dies", |_| {
        call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG.into(), 0, 0, 0, 0])
    }),
    neither("raise a limit", |_| {
        let raised = libc::rlimit { rlim_cur: 1 << 40, rlim_max: 1 << 40 };
        call(libc::SYS_prlimit64, [0, libc::RLIMIT_AS.into(), (&raw const raised) as c_long, 0, 0])
    }),
    neither("be signalled through a descriptor", |_| {
        call(libc::SYS_fcntl, [0, libc::F_SETOWN.into(), parent(), 0, 0])
    }),
    // The kernel.
    neither("unshare", |_| call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0])),
    neither("clone into a namespace", |_| {
        call(libc::SYS_clone, [(libc::CLONE_NEWUSER | libc::SIGCHLD).into(), 0, 0, 0, 0])
    }),
    neither("clone3", |_| call(libc::SYS_clone3, [0; 5])),
    neither("mount", |_| call(libc::SYS_mount, [0; 5])),
    neither("chroot", |_| call(libc::SYS_chroot, [c"/".as_ptr() as c_long, 0, 0, 0, 0])),
    neither("bpf", |_| call(libc::SYS_bpf, [0; 5])),
    neither("io_uring", |_| call(libc::SYS_io_uring_setup, [8, 0, 0, 0, 0])),
    neither("userfaultfd", |_| call(libc::SYS_userfaultfd, [0; 5])),
    neither("keyrings", |_| call(libc::SYS_keyctl, [0; 5])),
    neither("performance counters", |_| call(libc::SYS_perf_event_open, [0; 5])),
    neither("type into a terminal", |_| {
        let byte = 0_u8;
        call(
            libc::SYS_ioctl,
            [0, c_long::try_from(libc::TIOCSTI).unwrap_or(0), (&raw const byte) as c_long, 0, 0],
        )
    }),
    #[cfg(target_arch = "x86_64")]
    neither("call as x32", |_| call(0x4000_0000 | 39, [0; 5])),
    neither("loosen the filter", |_| call(libc::SYS_seccomp, [1, 0, 0, 0, 0])),
];

/// What was answered and not done is denied.
fn not_done(unchanged: bool) -> io::Result<()> {
    match unchanged {
        true => Err(io::Error::from_raw_os_error(libc::EPERM)),
        false => Ok(()),
    }
}

/// A system call with up to five arguments.
fn call(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> io::Result<()> {
    // SAFETY: pointers among the arguments are null or point to values that live through the call; none of the calls
    // above writes through one, and what one of them would start or replace, it may not.
    match unsafe { libc::syscall(number, a, b, c, d, e, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A number that nobody has where even asking is denied.
fn parent() -> c_long {
    // SAFETY: no arguments.
    match unsafe { libc::syscall(libc::SYS_getppid) } {
        -1 => i32::MAX.into(),
        number => number,
    }
}

fn run(program: &str) -> io::Result<()> {
    Command::new(program).stdin(Stdio::null()).stdout(Stdio::null()).status().map(drop)
}

/// One line for each attempt: `allowed NAME`, or the error's number and the name.
fn try_everything(readable: &Path) {
    let mut lines = String::new();
    for attempt in ATTEMPTS {
        let outcome = match (attempt.act)(readable) {
            Ok(()) => "allowed".to_owned(),
            Err(error) => match error.raw_os_error() {
                Some(code) => code.to_string(),
                None => "?".to_owned(),
            },
        };
        lines.push_str(&format!("{outcome} {}\n", attempt.name));
    }
    let _ = io::stdout().write_all(lines.as_bytes());
}

/// Lines of what the kernel says the limits are, then what comes of going beyond two of them.
fn meet_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit};
    let mut lines = String::new();
    for (name, resource) in [
        ("address space", Resource::As),
        ("processor time", Resource::Cpu),
        ("file", Resource::Fsize),
        ("files", Resource::Nofile),
        ("core", Resource::Core),
    ] {
        let Rlimit { current, maximum } = getrlimit(resource);
        lines.push_str(&format!("{name} {current:?} {maximum:?}\n"));
    }
    let bytes = c_long::try_from(GUEST_ADDRESS_SPACE_BYTES).unwrap_or(c_long::MAX);
    let mapped = call(libc::SYS_mmap, [0, bytes, 3, 0x22, -1]);
    lines.push_str(&format!("map {:?}\n", code(mapped)));
    let _ = fs::write("open.txt", "x");
    let opened: Vec<_> =
        (0..=CHILD_FILES_MAX).map_while(|_| fs::File::open("open.txt").ok()).collect();
    lines.push_str(&format!("opened {}\n", opened.len()));
    let one_more = code(fs::File::open("open.txt").map(drop));
    lines.push_str(&format!("one more {one_more:?}\n"));
    let _ = io::stdout().write_all(lines.as_bytes());
}

fn code(outcome: io::Result<()>) -> Option<i32> {
    outcome.err().and_then(|error| error.raw_os_error())
}

fn write_on(path: &Path) {
    let file = fs::File::create(path).expect("made");
    file.set_len(COMPILE_FILE_BYTES_MAX).expect("as large as it may be");
    let _ = io::stdout().write_all(b"so far");
    let _ = io::stdout().flush();
    let _ = std::os::unix::fs::FileExt::write_at(&file, b"x", COMPILE_FILE_BYTES_MAX);
    let _ = io::stdout().write_all(b" and further");
}

#[allow(clippy::zombie_processes, reason = "that nobody waits for it is what is tried")]
fn leave(program: &Path) {
    // It inherits the pipes: no device may be opened here.
    let sleeper = Command::new(program).args([SLEEP, "."]).spawn();
    let sleeper = sleeper.expect("started");
    let _ = write!(io::stdout(), "{}", sleeper.id());
}

/// What is denied is denied by a layer, and not for want of a file or by bad arguments.
#[track_caller]
fn check(said: &str, may: fn(&Attempt) -> bool) {
    let by_a_layer = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EXDEV];
    assert_eq!(said.lines().count(), ATTEMPTS.len(), "{said}");
    for (attempt, line) in ATTEMPTS.iter().zip(said.lines()) {
        let (outcome, name) = line.split_once(' ').expect("two words");
        assert_eq!(name, attempt.name);
        match may(attempt) {
            true => assert_eq!(outcome, "allowed", "{name}"),
            false => assert!(
                outcome.parse().is_ok_and(|code: i32| by_a_layer.contains(&code)),
                "{name}: {outcome}"
            ),
        }
    }
}

/// A folder to work in, and beside it one with a file that may only be read.
fn places(within: &Path) -> (PathBuf, PathBuf) {
    let (own, shared) = (within.join("own"), within.join("shared"));
    fs::create_dir(&own).expect("made");
    fs::create_dir(&shared).expect("made");
    fs::write(shared.join("readable.txt"), "readable").expect("written");
    (own, shared)
}

#[test]
fn a_confined_compiler_reaches_its_folder_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (own, shared) = places(folder.path());
    let readable = shared.join("readable.txt");
    let ended = run_confined(&own, &[shared], &[TRY.as_ref(), readable.as_os_str()]);
    check(&ended.stdout, |attempt| attempt.compiler_may);
    assert_eq!(fs::read(readable).expect("still there"), b"readable");
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .expect("listed")
        .map(|entry| entry.expect("listed").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["own", "shared"]);
}

#[test]
fn a_confined_guest_has_memory_threads_and_its_pipes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (own, shared) = places(folder.path());
    let output = Command::new(env::current_exe().expect("this program"))
        .arg(TRY_AS_GUEST)
        .arg(shared.join("readable.txt"))
        .current_dir(&own)
        .stdin(Stdio::null())
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    check(&said, |attempt| attempt.guest_may);
    assert_eq!(fs::read_dir(own).expect("listed").count(), 0);
}

/// The kernel has the numbers of the table, as current and as greatest values, and holds to them.
#[test]
fn a_confined_child_meets_its_limits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (own, shared) = places(folder.path());
    let both = |limit: u64| format!("Some({limit}) Some({limit})");
    let beyond = format!("map {:?}", Some(libc::ENOMEM));

    let said = run_confined(&own, &[shared], &[MEET_LIMITS.as_ref(), ".".as_ref()]).stdout;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..6],
        [
            format!("address space {}", both(COMPILE_ADDRESS_SPACE_BYTES)),
            format!("processor time {}", both(COMPILE_CPU_SECONDS)),
            format!("file {}", both(COMPILE_FILE_BYTES_MAX)),
            format!("files {}", both(CHILD_FILES_MAX)),
            format!("core {}", both(0)),
            beyond.clone(),
        ]
    );
    let opened = lines[6].strip_prefix("opened ").and_then(|n| n.parse().ok());
    assert!(opened.is_some_and(|n: u64| n > 200 && n < CHILD_FILES_MAX), "{said}");
    assert_eq!(lines[7], format!("one more {:?}", Some(libc::EMFILE)));

    let output = Command::new(env::current_exe().expect("this program"))
        .args([MEET_LIMITS_AS_GUEST, "."])
        .current_dir(&own)
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("address space {}", both(GUEST_ADDRESS_SPACE_BYTES)));
    assert_eq!(
        lines[2..6],
        [
            format!("file {}", both(0)),
            format!("files {}", both(CHILD_FILES_MAX)),
            format!("core {}", both(0)),
            beyond,
        ]
    );
}

#[test]
fn a_compiler_that_writes_too_large_a_file_is_ended() {
    use std::os::unix::process::ExitStatusExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (own, _) = places(folder.path());
    let ended = run_confined(&own, &[], &[WRITE_ON.as_ref(), "large.bin".as_ref()]);
    assert_eq!(ended.stdout, "so far");
    let signal = ended.status.and_then(|status| status.signal());
    assert_eq!(signal, Some(libc::SIGXFSZ));
}

/// It ends with the tool that started it, before anybody hears of the tool's end.
#[test]
fn what_a_compiler_leaves_behind_is_gone_when_it_has_ended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (own, _) = places(folder.path());
    let ended = run_confined(&own, &[], &[LEAVE.as_ref(), program().path.as_ref()]);
    assert!(ended.status.is_some_and(|status| status.success()));
    let sleeper: u32 = ended.stdout.parse().expect("a number");
    assert!(!Path::new(&format!("/proc/{sleeper}")).exists());
}

#[test]
fn this_machine_has_every_layer() {
    for found in super::layers() {
        assert_eq!(
            found.missing, None,
            "{}: no test here is worth its green without it",
            found.layer
        );
    }
    // Trying them left this process as it was.
    assert!(fs::read("/etc/passwd").is_ok());
}

/// Who runs the tests as root has seen root confined; the same tests again as a user with no rights, `nobody`.
#[test]
fn an_ordinary_user_is_confined_as_root_is() {
    const NOBODY: u32 = 65_534;
    let tests = [
        "a_confined_compiler_reaches_its_folder_and_nothing_else",
        "a_confined_guest_has_memory_threads_and_its_pipes",
        "this_machine_has_every_layer",
    ];
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED an_ordinary_user_is_confined_as_root_is: not started as root, so {tests:?} have shown it already"
        );
        return;
    }
    // A copy that this user can reach, wherever the original lies.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (program, temporary) = (folder.path().join("tests"), folder.path().join("tmp"));
    fs::copy(env::current_exe().expect("this program"), &program).expect("copied");
    fs::create_dir(&temporary).expect("made");
    chown(&temporary, Some(NOBODY), Some(NOBODY)).expect("given away");
    for path in [folder.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("opened");
    }
    let output = Command::new(&program)
        .args(tests.map(|test| format!("confine::tests::{test}")))
        .arg("--exact")
        .env_clear()
        .env("TMPDIR", &temporary)
        .current_dir(&temporary)
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("3 passed"), "{said}");
}

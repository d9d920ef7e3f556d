//! The system-call layer: seccomp, what a child can still ask the kernel for.
//!
//! An allow-list: what is not named answers `EPERM`, so a call that the next kernel invents is denied. A call of another
//! architecture (32-bit on a 64-bit kernel) ends the process; x32 calls have numbers of their own, which no list names.
//! Where a call does more than one thing, its arguments decide:
//!
//! | call | allowed |
//! | --- | --- |
//! | `clone` | without namespaces, without changing parents; in a guest's process threads only |
//! | `clone3` | never: its flags are behind a pointer. `ENOSYS` makes the C library use `clone` |
//! | `open`, `openat` | not to truncate a file that is opened for reading, which Landlock overlooks before Linux 6.2 |
//! | `tgkill` | to the child's own process: how a panic aborts and how a thread is woken |
//! | `chmod`, `fchmod`, `fchmodat`, `utimensat` in the compiler's process | answered 0 and not done: Landlock knows neither modes nor times, and compilers set both |
//! | `kill` in the guard's process | `SIGKILL` to the one group that it guards |
//! | `prlimit64` | to read a limit |
//! | `prctl` | to name a thread or a mapping |
//! | `fcntl` | flags, locks and copies of descriptors; no signals by `F_SETOWN`, no leases |
//! | `ioctl` | in the compiler's process whether a descriptor is a terminal, blocks or closes; no terminal input |
//! | `ioctl` in a guest's process | `PAGEMAP_SCAN` alone: which pages of its own memory were written |
//! | `socketpair` | a pair of its own, which is how a child process reports that it could not start |
//! | `read`, `write`, `mmap` in a guest's process | descriptor 0; descriptors 1 and 2; memory without a file behind it |
//!
//! Not covered: what calls that are allowed do in the kernel, and how long they take.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use rustix::process::Pid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::Kind;

/// For each call the conditions of which one must hold; none means always.
type Allowed = BTreeMap<i64, Vec<SeccompRule>>;

/// Restricts the calling thread, and all that it starts; also sets `no_new_privs`. The error says why not.
pub(super) fn restrict(kind: Kind) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    // The strictest answer wins, and between two errors the filter that was installed last: so first the ones that
    // answer clone3 and what is pretended, then the list, which must then let those pass.
    let clone3 = program(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno(libc::ENOSYS)),
        arch,
    )?;
    let mut filters = vec![clone3];
    if kind == Kind::Compiler {
        filters.push(program(
            PRETENDED.iter().map(|&call| (call, Vec::new())).collect(),
            SeccompAction::Allow,
            SeccompAction::Errno(0),
            arch,
        )?);
    }
    filters.push(program(
        allowed(kind).map_err(|error| error.to_string())?,
        SeccompAction::Errno(errno(libc::EPERM)),
        SeccompAction::Allow,
        arch,
    )?);
    filters.iter().try_for_each(|filter| apply_filter(filter).map_err(|error| error.to_string()))
}

fn program(
    rules: Allowed,
    otherwise: SeccompAction,
    on_match: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, String> {
    SeccompFilter::new(rules, otherwise, on_match, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

fn errno(code: c_int) -> u32 {
    code.unsigned_abs()
}

fn allowed(kind: Kind) -> Result<Allowed, seccompiler::BackendError> {
    let plain = match kind {
        Kind::Compiler => [COMMON, COMPILER, COMPILER_OF_THIS_ARCHITECTURE, PRETENDED].concat(),
        Kind::Guard { .. } => [COMMON, GUARD].concat(),
        Kind::Guest => COMMON.to_vec(),
    };
    let mut allowed: Allowed = plain.into_iter().map(|call| (call, Vec::new())).collect();
    allowed.extend(common_with_conditions()?);
    allowed.extend(match kind {
        Kind::Compiler => compiler_with_conditions()?,
        Kind::Guard { compiler } => guard_with_conditions(compiler)?,
        Kind::Guest => guest_with_conditions()?,
    });
    Ok(allowed)
}

/// What every process needs: memory, threads, clocks, its end.
const COMMON: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_membarrier,
    // Threads; clone3 is answered by a filter of its own.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_gettid,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // Signals that come to it.
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Clocks, chance, itself.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    // Descriptors that it has, and its end.
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What the compiler's guard adds: it waits for signals and for processes.
const GUARD: &[c_long] = &[libc::SYS_rt_sigtimedwait, libc::SYS_wait4, libc::SYS_waitid];

/// What rustc, its linker and cargo add: files within the files layer, pipes, processes.
const COMPILER: &[c_long] = &[
    libc::SYS_mmap,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    // Files.
    libc::SYS_chdir,
    libc::SYS_copy_file_range,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    // Descriptors.
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    // From the pair that socketpair makes: there is no other socket.
    libc::SYS_recvfrom,
    // Processes.
    libc::SYS_execve,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getppid,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_wait4,
    libc::SYS_waitid,
];

/// What changes a file's mode or times, by a path or by a descriptor that may only be read: it would reach files outside.
/// A copy that keeps its maker's mode is good enough, and is no copy for whom a refusal is an error.
const PRETENDED: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
];

/// The older calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const COMPILER_OF_THIS_ARCHITECTURE: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_pipe,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_vfork,
];

#[cfg(not(target_arch = "x86_64"))]
const COMPILER_OF_THIS_ARCHITECTURE: &[c_long] = &[];

fn common_with_conditions() -> Result<Allowed, seccompiler::BackendError> {
    /// Name a mapping; the C library names the stacks of threads.
    const PR_SET_VMA: c_int = 0x5356_4d41;
    let own = u64::from(std::process::id());
    Ok(BTreeMap::from([
        (libc::SYS_prctl, one_of(0, &[flags(libc::PR_SET_NAME), flags(PR_SET_VMA)])?),
        (libc::SYS_prlimit64, vec![all(&[whole(2, 0)?])?]),
        (libc::SYS_tgkill, one_of(0, &[own])?),
    ]))
}

fn compiler_with_conditions() -> Result<Allowed, seccompiler::BackendError> {
    let elsewhere = NAMESPACES | flags(libc::CLONE_PARENT) | flags(libc::CLONE_PTRACE);
    Ok(BTreeMap::from([
        (libc::SYS_clone, vec![all(&[masked(0, elsewhere, 0)?])?]),
        (libc::SYS_openat, opening(2)?),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, opening(1)?),
        (
            libc::SYS_fcntl,
            one_of(
                1,
                &[
                    libc::F_DUPFD,
                    libc::F_DUPFD_CLOEXEC,
                    libc::F_GETFD,
                    libc::F_SETFD,
                    libc::F_GETFL,
                    libc::F_SETFL,
                    libc::F_GETLK,
                    libc::F_SETLK,
                    libc::F_SETLKW,
                    libc::F_OFD_GETLK,
                    libc::F_OFD_SETLK,
                    libc::F_OFD_SETLKW,
                ]
                .map(flags),
            )?,
        ),
        (
            libc::SYS_ioctl,
            one_of(
                1,
                &[libc::TCGETS, libc::TIOCGWINSZ, libc::FIONBIO, libc::FIONREAD, libc::FIOCLEX],
            )?,
        ),
        (libc::SYS_socketpair, one_of(0, &[flags(libc::AF_UNIX)])?),
    ]))
}

fn guard_with_conditions(compiler: Pid) -> Result<Allowed, seccompiler::BackendError> {
    // A group is named by its number below zero, as the kernel's 32 bits have it.
    let group = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        flags(-compiler.as_raw_pid()),
    )?;
    let signal =
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, flags(libc::SIGKILL))?;
    Ok(BTreeMap::from([(libc::SYS_kill, vec![all(&[group, signal])?])]))
}

/// `_IOWR('f', 16, struct pm_scan_arg)` of Linux 6.7 and later, the same on every architecture that is supported here.
pub(super) const PAGEMAP_SCAN: u64 = 0xC060_6610;

fn guest_with_conditions() -> Result<Allowed, seccompiler::BackendError> {
    let thread = flags(libc::CLONE_THREAD);
    let anonymous = flags(libc::MAP_ANONYMOUS);
    Ok(BTreeMap::from([
        (libc::SYS_clone, vec![all(&[masked(0, NAMESPACES | thread, thread)?])?]),
        (libc::SYS_mmap, vec![all(&[masked(3, anonymous, anonymous)?])?]),
        (libc::SYS_ioctl, one_of(1, &[PAGEMAP_SCAN])?),
        (libc::SYS_read, one_of(0, &[0])?),
        (libc::SYS_readv, one_of(0, &[0])?),
        (libc::SYS_write, one_of(0, &[1, 2])?),
        (libc::SYS_writev, one_of(0, &[1, 2])?),
    ]))
}

const NAMESPACES: u64 = flags(libc::CLONE_NEWNS)
    | flags(libc::CLONE_NEWCGROUP)
    | flags(libc::CLONE_NEWUTS)
    | flags(libc::CLONE_NEWIPC)
    | flags(libc::CLONE_NEWUSER)
    | flags(libc::CLONE_NEWPID)
    | flags(libc::CLONE_NEWNET);

/// Without truncating, or for writing, which the files layer then judges. Access mode 3 is neither.
fn opening(argument: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let (truncate, mode) = (flags(libc::O_TRUNC), flags(libc::O_ACCMODE));
    [(truncate, 0), (mode, flags(libc::O_WRONLY)), (mode, flags(libc::O_RDWR))]
        .into_iter()
        .map(|(mask, value)| all(&[masked(argument, mask, value)?]))
        .collect()
}

/// The argument, an `int` of the kernel, is one of these.
fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let is = |&value: &u64| {
        let condition =
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
        all(&[condition])
    };
    values.iter().map(is).collect()
}

/// The whole argument, as for a pointer.
fn whole(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
}

/// The bits of `mask` have `value`.
fn masked(
    argument: u8,
    mask: u64,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

fn all(conditions: &[SeccompCondition]) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.to_vec())
}

/// The bits of what the C library has as a signed number.
#[allow(clippy::cast_sign_loss, reason = "the kernel reads the bits")]
const fn flags(flag: c_int) -> u64 {
    flag as u32 as u64
}

//! Which system calls each process may make once it serves; the only place with the lists.
//!
//! Measured with strace on glibc; what is refused and why those two kinds: `docs/decisions/0010-sandbox.md`.

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// A call's number.
type Call = libc::c_long;

/// What any thread needs: memory, locks, time, its own end, the packets of the pair.
const THREAD: [Call; 42] = [
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_write,
];

/// What the gate needs besides: the ledger's files and its peers. No way to a socket but the one that listens.
const GATE: [Call; 19] = [
    libc::SYS_accept4,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_getsockopt,
    libc::SYS_linkat,
    libc::SYS_pipe2,
    libc::SYS_recvmsg,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_sendmsg,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_unlinkat,
    libc::SYS_writev,
];

/// What `SoftHSM` needs besides: it opens and locks its files at each call.
const SOFTHSM: [Call; 3] = [libc::SYS_flock, libc::SYS_getdents64, libc::SYS_fdatasync];

/// Calls that only older architectures have, of the gate and of `SoftHSM`.
#[cfg(target_arch = "x86_64")]
const LEGACY: [Call; 8] = [
    libc::SYS_access,
    libc::SYS_chmod,
    libc::SYS_lstat,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_stat,
    libc::SYS_unlink,
];
/// Calls that only older architectures have.
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: [Call; 0] = [];

/// What no module needs once it is logged in, for a module that we have not measured: to run a program, to look into
/// or at other processes, to change what is mounted or loaded.
const NEVER: [Call; 30] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_kill,
    libc::SYS_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// What a number of the x32 way into an `x86_64` kernel has besides: same architecture for a filter, another number for the call.
#[cfg(target_arch = "x86_64")]
const X32: Call = 0x4000_0000;
/// Calls of [`NEVER`] that have further numbers there: execve, ptrace, `kexec_load`, `process_vm_readv` and `_writev`, execveat.
#[cfg(target_arch = "x86_64")]
const X32_ONLY: [Call; 6] = [520, 521, 528, 539, 540, 545];

/// All numbers by which these calls can be made. Kernels without x32 refuse the further ones themselves.
#[cfg(target_arch = "x86_64")]
fn by_all_numbers(calls: &[Call]) -> Vec<Call> {
    calls.iter().flat_map(|call| [*call, call | X32]).collect()
}
/// All numbers by which these calls can be made.
#[cfg(not(target_arch = "x86_64"))]
fn by_all_numbers(calls: &[Call]) -> Vec<Call> {
    calls.to_vec()
}

/// What is never allowed, by all its numbers.
fn never() -> Vec<Call> {
    #[cfg(target_arch = "x86_64")]
    return by_all_numbers(&[&NEVER[..], &X32_ONLY].concat());
    #[cfg(not(target_arch = "x86_64"))]
    by_all_numbers(&NEVER)
}

/// A set of rules by call.
type Rules = BTreeMap<Call, Vec<SeccompRule>>;

/// A rule that holds where one argument, masked, has a value.
fn masked(argument: u8, mask: u64, value: u64) -> Result<Vec<SeccompRule>, Error> {
    let operator = SeccompCmpOp::MaskedEq(mask);
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

/// All of these calls, whatever their arguments.
fn any(calls: &[Call]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// Installs a filter in all threads.
fn install(rules: Rules, others: SeccompAction, these: SeccompAction) -> Result<(), Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, others, these, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    apply_filter_all_threads(&program)
}

/// The refusal: an error, as if the call were not permitted.
const REFUSED: SeccompAction = SeccompAction::Errno(libc::EPERM.unsigned_abs());

/// Allows these calls and what every thread needs, and refuses all others.
fn allow(calls: &[Call]) -> Result<(), Error> {
    // Absent, so that the C library falls back to the call whose flags can be looked at.
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    install(any(&[libc::SYS_clone3]), SeccompAction::Allow, absent)?;
    let mut rules = any(&[&THREAD, calls, &LEGACY, &[libc::SYS_clone3]].concat());
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    rules.insert(libc::SYS_mmap, masked(2, executable, 0)?);
    rules.insert(libc::SYS_mprotect, masked(2, executable, 0)?);
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, masked(0, thread, thread)?);
    rules.insert(libc::SYS_prctl, masked(0, u64::MAX, u64::from(libc::PR_SET_NAME.unsigned_abs()))?);
    rules.insert(libc::SYS_ioctl, masked(1, u64::MAX, libc::FIONBIO)?);
    install(rules, REFUSED, SeccompAction::Allow)
}

/// Confines the gate.
pub(super) fn gate() -> Result<(), Error> {
    allow(&GATE)
}

/// Confines a vault with `SoftHSM`.
pub(super) fn softhsm() -> Result<(), Error> {
    allow(&SOFTHSM)
}

/// Confines a vault with a module that was not measured, and so may use what no list of ours would foresee. A token is
/// reached through a file, or a socket that is one: no address of any network, and no raw packets.
pub(super) fn generic() -> Result<(), Error> {
    all_but_never(&[libc::AF_UNIX, libc::AF_NETLINK], &[])
}

/// Confines a vault with a device on USB: sockets only to hear from the kernel of devices.
pub(super) fn usb() -> Result<(), Error> {
    all_but_never(&[libc::AF_NETLINK], &[])
}

/// Confines a vault with a yubihsm-connector: streams to it, to which port is landlock's part.
pub(super) fn connector() -> Result<(), Error> {
    all_but_never(&[libc::AF_INET], &[libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_RDM, libc::SOCK_SEQPACKET])
}

/// Allows all but what no module needs; of sockets only these families, and of them not these kinds.
fn all_but_never(families: &[libc::c_int], kinds: &[libc::c_int]) -> Result<(), Error> {
    let mut rules = any(&never());
    let condition = |argument, operator, value: libc::c_int| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.unsigned_abs()))
    };
    let other_family = families.iter().map(|family| condition(0, SeccompCmpOp::Ne, *family));
    let mut refused = vec![SeccompRule::new(other_family.collect::<Result<_, _>>()?)?];
    for kind in kinds {
        // Flags stand above the kind.
        refused.push(SeccompRule::new(vec![condition(1, SeccompCmpOp::MaskedEq(0xf), *kind)?])?);
    }
    for call in by_all_numbers(&[libc::SYS_socket]) {
        rules.insert(call, refused.clone());
    }
    install(rules, SeccompAction::Allow, REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with x32 answers to the same call under another number, which a filter does not see to be the same.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn what_is_never_allowed_has_no_second_number() {
        let never = never();
        for call in NEVER {
            assert!(never.contains(&call) && never.contains(&(call + 0x4000_0000)), "{call}");
        }
        // As in the kernel's table: execve, ptrace, execveat.
        for call in [520, 521, 545] {
            assert!(never.contains(&(call + 0x4000_0000)), "{call}");
        }
        assert!(by_all_numbers(&[libc::SYS_socket]).contains(&(libc::SYS_socket + 0x4000_0000)));
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(any(&never), SeccompAction::Allow, REFUSED, architecture).unwrap();
        assert!(BpfProgram::try_from(filter).is_ok());
    }
}

//! The publisher's side of the made-up world, in its own process: sockets that ask the other process, and simulated time.
//!
//! Time passes only while nobody has anything to do, and then at once up to the next timer. What the sockets' side costs
//! is counted by the thread's own clock and can be taken off.

use super::control_port::{Answer, Auth, COOKIE, Command, before, receive};
use super::onions::BEGIN;
use super::world::{self, CUT, LATER, kind};
use onionkeep_common::UnixTime;
use rustix::time::{ClockId, clock_gettime};
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// CPU time of this side in nanoseconds.
static OWN: AtomicU64 = AtomicU64::new(0);
/// So often the sockets are looked at before time may pass: what one side has written, the other one reads first.
static LOOKS: AtomicU32 = AtomicU32::new(LOOKS_MOST);
/// Wakes the task that keeps the runtime from waiting. A new task for each look cost some 2 % of the day.
static LOOKER: OnceLock<Waker> = OnceLock::new();
/// What a look brings may bring more, which is found after the next step of time at the latest. A look that finds nothing counts as the
/// publisher's time, though it is the simulation's; so it is made once.
const LOOKS_MOST: u32 = 1;
/// How long an HSDir takes, in milliseconds: the shortest, and the span above it.
const TAKES: (u64, u64) = (700, 3300);
/// tor tells of a consensus so long after the hour, in seconds.
const TOLD: u64 = 300;

/// So many times slower than usual are the HSDirs.
fn slower() -> u64 {
    static SLOWER: OnceLock<u64> = OnceLock::new();
    let said = || std::env::var("ONIONKEEP_DAY_SLOWER").ok().and_then(|text| text.parse().ok());
    *SLOWER.get_or_init(|| said().unwrap_or(1))
}

/// Simulated time.
pub(crate) fn now() -> UnixTime {
    static START: OnceLock<Instant> = OnceLock::new();
    UnixTime(BEGIN + START.get_or_init(Instant::now).elapsed().as_secs())
}

/// How long the answer with this number takes.
fn takes(number: u64) -> Duration {
    Duration::from_millis(slower() * (TAKES.0 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % TAKES.1))
}

/// A runtime on which time passes only while nobody has anything to do.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).on_thread_park(|| {
        // A task keeps the runtime from waiting for time: it looks at the sockets and comes back here.
        let look = |left: u32| left.checked_sub(1);
        match LOOKS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, look) {
            Ok(_left) => LOOKER.get().unwrap().wake_by_ref(),
            Err(_none) => LOOKS.store(LOOKS_MOST, Ordering::Relaxed),
        }
    });
    builder.build().unwrap()
}

/// Keeps a task that does nothing, only to be woken.
fn keep_looker() {
    drop(tokio::spawn(std::future::poll_fn(|context: &mut Context<'_>| {
        let _same = LOOKER.get_or_init(|| context.waker().clone());
        Poll::<()>::Pending
    })));
}

/// CPU time of this side so far.
pub(crate) fn own_time() -> Duration {
    Duration::from_nanos(OWN.load(Ordering::Relaxed))
}

/// CPU time of a clock.
pub(crate) fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// A future whose work is that of this side.
struct Own<F>(Pin<Box<F>>);

impl<F: Future> Future for Own<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        LOOKS.store(LOOKS_MOST, Ordering::Relaxed);
        let before = cpu(ClockId::ThreadCPUTime);
        let polled = self.0.as_mut().poll(context);
        let spent = cpu(ClockId::ThreadCPUTime).saturating_sub(before);
        OWN.fetch_add(spent.as_nanos().try_into().unwrap(), Ordering::Relaxed);
        polled
    }
}

/// Starts work of this side.
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(Own(Box::pin(work))));
}

/// Listens as tor and as the signer in a folder; gives the address of the control port.
pub(crate) fn listen(world: Blocking, folder: &Path, signer: &Path) -> String {
    keep_looker();
    let world = Arc::new(world);
    let (control, cookie) = (folder.join("control"), folder.join("cookie"));
    std::fs::write(&cookie, COOKIE).unwrap();
    let (listener, shared) = (UnixListener::bind(&control).unwrap(), Arc::clone(&world));
    spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let (world, cookie) = (Arc::clone(&shared), cookie.clone());
            spawn(async move { play_tor(stream, world, &cookie).await.unwrap_or_default() });
        }
    });
    let listener = UnixListener::bind(folder.join("socks")).unwrap();
    spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            spawn(async move { play_socks(stream).await.unwrap_or_default() });
        }
    });
    let listener = UnixListener::bind(signer).unwrap();
    spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let world = Arc::clone(&world);
            spawn(async move { play_signer(stream, &world).await.unwrap_or_default() });
        }
    });
    format!("unix:{}", control.display())
}

/// One connection to tor.
async fn play_tor(stream: UnixStream, world: Arc<Blocking>, cookie: &Path) -> Option<()> {
    let (read, write) = stream.into_split();
    let (mut lines, write) = (BufReader::new(read), Arc::new(Mutex::new(write)));
    let (mut nonce, mut known) = (Vec::new(), false);
    let mut number: u64 = 0;
    loop {
        let command = receive(&mut lines).await?;
        if !known {
            let (answer, done) = before(&command, &Auth::SafeCookie, cookie, &mut nonce);
            let (Answer::Raw(octets) | Answer::Close(octets)) = answer else { return None };
            write.lock().await.write_all(&octets).await.ok()?;
            known = done;
            continue;
        }
        let Command { line, data } = command;
        let asked = if data.is_empty() { line.clone() } else { format!("{line}\n{data}") };
        let (flags, answer) = world::ask(&world, kind::COMMAND, now(), asked.as_bytes());
        give(&world, &mut *write.lock().await, flags, answer).await?;
        if line.starts_with("SETEVENTS") {
            spawn(tell(Arc::clone(&write)));
        }
        if flags & LATER != 0 {
            number += 1;
            let (world, write) = (Arc::clone(&world), Arc::clone(&write));
            spawn(async move {
                tokio::time::sleep(takes(number)).await;
                let (_flags, event) = world::ask(&world, kind::EVENT, now(), line.as_bytes());
                drop(write.lock().await.write_all(&event).await);
            });
        }
    }
}

/// Writes an answer, a long one piece by piece.
async fn give(
    world: &Blocking,
    write: &mut OwnedWriteHalf,
    mut flags: u8,
    mut answer: Vec<u8>,
) -> Option<()> {
    let mut given: u64 = 0;
    loop {
        write.write_all(&answer).await.ok()?;
        if flags & CUT == 0 {
            return Some(());
        }
        given += u64::try_from(answer.len()).unwrap();
        (flags, answer) = world::ask(world, kind::MORE, now(), &given.to_be_bytes());
    }
}

/// Tells of each consensus.
async fn tell(write: Arc<Mutex<OwnedWriteHalf>>) {
    loop {
        let past = now().0 % 3600;
        let wait = if past < TOLD { TOLD - past } else { 3600 + TOLD - past };
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let event = b"650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED\r\n";
        if write.lock().await.write_all(event).await.is_err() {
            return;
        }
    }
}

/// Probes that were answered.
static PROBED: AtomicU64 = AtomicU64::new(0);

/// How many probes were answered.
pub(crate) fn probed() -> u64 {
    PROBED.load(Ordering::Relaxed)
}

/// One connection to tor's SOCKS port: every backend is there, after a time as HSDirs take.
async fn play_socks(mut stream: UnixStream) -> Option<()> {
    let mut octets = [0; 200];
    for answer in [&[5, 2][..], &[1, 0]] {
        let _count = stream.read(&mut octets).await.ok()?;
        stream.write_all(answer).await.ok()?;
    }
    let _count = stream.read(&mut octets).await.ok()?;
    let number = PROBED.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(takes(number)).await;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()
}

/// One connection to the signer.
async fn play_signer(mut stream: UnixStream, world: &Blocking) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).await.ok()?;
        let mut frame = length.to_vec();
        frame.resize(2 + usize::from(u16::from_be_bytes(length)), 0);
        stream.read_exact(&mut frame[2..]).await.ok()?;
        let (_flags, reply) = world::ask(world, kind::SIGN, now(), &frame);
        stream.write_all(&reply).await.ok()?;
    }
}

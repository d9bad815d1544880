//! No more fetches at the same time than tor builds circuits for.

use super::*;
use tokio::task::JoinSet;

/// Of a fetch that nobody answers.
const DEADLINE: Duration = Duration::from_secs(2);

/// A tor that takes every fetch and says no more about it.
fn silent(command: &Command) -> Answer {
    if command.line.starts_with("HSFETCH ") { Answer::ok() } else { ordinary(command) }
}

/// How often a descriptor was asked for.
fn asked(port: &ControlPort) -> usize {
    port.lines().iter().filter(|line| line.starts_with("HSFETCH ")).count()
}

/// A relay with a number.
fn relay(number: u8) -> Fingerprint {
    Fingerprint([number; 20])
}

#[tokio::test]
async fn fetches_wait_for_their_turn_and_their_deadline_begins_with_it() {
    let port = ControlPort::unix(Auth::SafeCookie, silent);
    let (tor, _news) = connected(&port, conn::Limits { turn: DEADLINE * 4, ..SHORT }).await;
    let mut fetches = JoinSet::new();
    let start = Instant::now();
    for number in 0..9 {
        let tor = tor.clone();
        fetches.spawn(async move { tor.fetch_from(0, onion(), relay(number), DEADLINE).await });
    }
    let three = async {
        while asked(&port) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE / 2, three).await.expect("three are asked at once");
    // What an upload waits for does not stand in that queue.
    let counters = tor.fetch(&onion(), &[relay(20), relay(21)], DEADLINE / 5).await;
    assert_eq!(counters.len(), 2);
    assert_eq!(asked(&port), 5, "three in their turn, and two out of turn");
    while let Some(answer) = fetches.join_next().await {
        assert_eq!(answer.unwrap(), Err(FetchFailure::Timeout));
    }
    assert_eq!(asked(&port), 11);
    assert!(start.elapsed() >= DEADLINE * 3, "three times three, one after the other");
}

#[tokio::test]
async fn a_turn_that_does_not_come_is_said() {
    let port = ControlPort::unix(Auth::SafeCookie, silent);
    let (tor, _news) = connected(&port, conn::Limits { turn: Duration::from_millis(100), ..SHORT }).await;
    let mut fetches = JoinSet::new();
    for number in 0..4 {
        let tor = tor.clone();
        fetches.spawn(async move { tor.fetch_from(0, onion(), relay(number), SOON).await });
    }
    let first = fetches.join_next().await.unwrap().unwrap();
    assert_eq!(first, Err(FetchFailure::NoTurn));
    assert_eq!(asked(&port), 3);
}

#[tokio::test]
async fn a_fetch_stands_in_the_queue_before_it_is_waited_for_and_until_it_ends() {
    let port = ControlPort::unix(Auth::SafeCookie, silent);
    let (tor, _news) = connected(&port, SHORT).await;
    let join = |number| tor.fetch_from(0, onion(), relay(number), DEADLINE / 10);
    let mut queue: Vec<_> = (1..12).map(join).collect();
    assert!(!tor.has_long_queue(0), "four for each of the three that are under way at the same time");
    queue.push(join(12));
    assert!(tor.has_long_queue(0));
    assert_eq!(queue.pop().unwrap().await, Err(FetchFailure::Timeout));
    assert!(!tor.has_long_queue(0), "one has ended");
    queue.push(join(12));
    assert!(tor.has_long_queue(0));
    drop(queue);
    assert!(!tor.has_long_queue(0), "they were given up");
}

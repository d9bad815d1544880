//! What the schedule does while signer, tor, answers or a steady clock are missing; fetches and probes.

use super::*;

#[test]
fn the_signer_is_asked_anew_each_hour_and_its_absence_is_survived() {
    let mut bench = Bench::running();
    bench.now = bench.now.plus(7200);
    let actions = bench.feed(Event::Tick);
    assert!(actions.contains(&Action::Certify { period: period(10) }), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Upload { .. })), "first the certificate");
    let without = bench.feed(Event::NotCertified(period(10), None));
    let upload = |action: &Action| matches!(action, Action::Upload { period: of, .. } if *of == period(10));
    assert!(without.iter().any(upload), "the one at hand is still good: {without:?}");
}

#[test]
fn without_any_certificate_the_signer_is_asked_with_growing_waits() {
    let mut bench = Bench::new(1);
    bench.feed(Event::TorUp);
    bench.feed(plan(10, NOON, &[1]));
    bench.feed(Event::CounterLearned(period(11)));
    bench.feed(Event::Fetched(0, Verdict::Good));
    bench.points(1);
    for period in [period(10), period(11)] {
        bench.feed(Event::NotCertified(period, Some(5)));
    }
    let mut asked = Vec::new();
    for _second in 0..3600 {
        for action in bench.after(1) {
            assert!(!matches!(action, Action::Upload { .. }));
            if let Action::Certify { period: of } = action {
                bench.feed(Event::NotCertified(of, None));
                if of == period(10) {
                    asked.push(bench.now.since(START));
                }
            }
        }
    }
    assert!((10..25).contains(&asked.len()), "{asked:?}");
    assert!(asked[0] >= 5, "the signer's own wait is kept");
    // As soon as it answers, the upload follows.
    let actions = bench.feed(Event::Certified(period(10), ExpirationHours::of_desc_signing_cert(bench.now)));
    assert_eq!(bench.settle(actions), [(10, Why::First, 1)]);
}

#[test]
fn a_certificate_from_before_the_restart_serves_while_the_signer_is_away() {
    let mut bench = Bench::new(1);
    bench.feed(Event::TorUp);
    bench.feed(plan(10, NOON, &[1]));
    bench.feed(Event::HeldCertificate(period(10), ExpirationHours::of_desc_signing_cert(NOON.minus(9000))));
    bench.feed(Event::Fetched(0, Verdict::Good));
    bench.points(1);
    let actions = bench.feed(Event::NotCertified(period(10), None));
    assert!(matches!(actions.as_slice(), [Action::Upload { .. }]), "{actions:?}");
}

#[test]
fn a_lost_tor_is_waited_for_and_what_was_under_way_is_done_again() {
    let mut bench = Bench::running();
    bench.points(2);
    assert_eq!(bench.after(3).len(), 2);
    bench.feed(Event::TorDown);
    for _minute in 0..30 {
        assert_eq!(bench.after(60), []);
    }
    let actions = bench.feed(Event::TorUp);
    let uploads = bench.settle(actions);
    assert_eq!(uploads, [(10, Why::Retry, 3), (11, Why::Retry, 3)]);
}

#[test]
fn after_tor_was_away_all_backends_are_fetched_since_some_may_have_restarted() {
    let mut bench = Bench::running();
    let fetches = |actions: Vec<Action>| -> Vec<(usize, Reach)> {
        let fetch = |action| {
            if let Action::Fetch { backend, reach } = action { Some((backend, reach)) } else { None }
        };
        actions.into_iter().filter_map(fetch).collect()
    };
    assert_eq!(fetches(bench.after(10)), [], "they were fetched a moment ago");
    bench.feed(Event::TorDown);
    assert_eq!(fetches(bench.after(30)), []);
    let mut found = fetches(bench.feed(Event::TorUp));
    for _second in 0..4 {
        found.extend(fetches(bench.after(1)));
    }
    found.sort_by_key(|(backend, _reach)| *backend);
    assert_eq!(found, [(0, Reach::Some), (1, Reach::Some)], "three HSDirs of each, within seconds");
}

#[test]
fn a_minute_or_two_after_tor_is_back_all_backends_are_fetched_once_more() {
    let mut bench = Bench::new(2);
    bench.feed(Event::TorUp);
    bench.feed(plan(10, NOON, &[1]));
    assert_early_again(&mut bench, "after the start");
    fetches(&mut bench, 1000);
    for why in ["after tor was away", "after it was away again"] {
        bench.feed(Event::TorDown);
        bench.after(30);
        bench.feed(Event::TorUp);
        assert_early_again(&mut bench, why);
    }
}

/// Each of two backends that answer now is fetched again after 60 to 120 s, not from one HSDir alone, and then as usual.
fn assert_early_again(bench: &mut Bench, why: &str) {
    for backend in 0..2 {
        bench.feed(Event::Fetched(backend, Verdict::Good));
    }
    let since = bench.now;
    for times in fetches(bench, 1100) {
        let gaps: Vec<_> = std::iter::once(&(since, Reach::Some))
            .chain(&times)
            .map(|(at, _reach)| at.since(since))
            .collect();
        assert!((60..=121).contains(&gaps[1]), "{why}: {gaps:?}");
        assert_eq!(times[0].1, Reach::Some, "{why}: a backend that has just restarted: {times:?}");
        assert!(gaps.windows(2).skip(1).all(|pair| pair[1] - pair[0] >= 300), "{why}: {gaps:?}");
        assert!(times[1..].iter().all(|(_at, reach)| *reach == Reach::One), "{why}: {times:?}");
    }
}

#[test]
fn nothing_is_uploaded_under_a_consensus_that_is_not_live() {
    let mut bench = Bench::running();
    bench.now = bench.now.plus(3 * 3600 + 86_400 + 1);
    assert_eq!(bench.feed(Event::Tick), []);
    assert!(!bench.machine.is_live(bench.now));
    let actions = bench.feed(plan(11, bench.now, &[1, 2, 3]));
    let uploads = bench.settle(actions);
    assert!(
        uploads.contains(&(12, Why::First, 3)) && uploads.contains(&(11, Why::Interval, 3)),
        "{uploads:?}"
    );
}

#[test]
fn a_clock_that_goes_back_puts_nothing_off() {
    let mut bench = Bench::running();
    let left = bench.machine.descs()[0].next_upload().unwrap().since(bench.now);
    bench.now = bench.now.minus(50_000);
    bench.feed(Event::Tick);
    assert_eq!(bench.machine.descs()[0].next_upload().unwrap().since(bench.now), left);
    assert!(bench.machine.wake(bench.now) <= bench.now.plus(600));
}

#[test]
fn good_fetches_are_rare_and_others_soon_repeated() {
    let mut bench = Bench::new(1);
    bench.feed(Event::TorUp);
    bench.feed(plan(10, NOON, &[1]));
    let mut fetched = |verdict, seconds: u64| {
        bench.feed(Event::Fetched(0, verdict));
        let mut times = Vec::new();
        for second in 0..seconds {
            for action in bench.after(1) {
                if let Action::Fetch { reach, .. } = action {
                    times.push((second, reach));
                    bench.feed(Event::Fetched(0, verdict));
                }
            }
        }
        times
    };
    let good = fetched(Verdict::Good, 36_000);
    assert!((40..=120).contains(&good.len()), "{}", good.len());
    let (early, usual) = good.split_at(1);
    assert_eq!(early[0].1, Reach::Some, "tor was away before");
    assert!(usual.iter().all(|(_second, reach)| *reach == Reach::One));
    let missing = fetched(Verdict::Missing, 600);
    assert!(missing[0].0 <= 10 && missing.len() >= 5, "{missing:?}");
    assert!(missing.iter().all(|(_second, reach)| *reach == Reach::All), "every HSDir is asked");
    // No HSDir has known it for ten minutes and more: then it is asked for less often, as long as that is so.
    let longest = |times: &[(u64, Reach)]| times.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    let gone = fetched(Verdict::Missing, 36_000);
    assert!(longest(&missing) <= Some(181), "{missing:?}");
    assert!((30..=90).contains(&gone.len()) && longest(&gone) <= Some(901), "{gone:?}");
    // Not if nobody answers, which may be due to us.
    let unclear = fetched(Verdict::Unclear, 3600);
    assert!(longest(&unclear) <= Some(181), "{unclear:?}");
    // What was unclear before does not count.
    let missing = fetched(Verdict::Missing, 600);
    assert!(longest(&missing) <= Some(181) && missing.len() >= 3, "{missing:?}");
}

#[test]
fn attended_backends_are_fetched_oftener_from_the_end_of_the_fetched_period_on() {
    let mut bench = Bench::new(2);
    bench.feed(Event::TorUp);
    bench.feed(plan(10, NOON.plus(80_000), &[1]));
    bench.machine.attend(BTreeSet::from([1]));
    bench.now = NOON.plus(86_400 - 3600);
    let mut times = [Vec::new(), Vec::new()];
    let mut alone = 0;
    for backend in 0..2 {
        bench.feed(Event::Fetched(backend, Verdict::Good));
    }
    for second in 0..7200 {
        for action in bench.after(1) {
            if let Action::Fetch { backend, reach } = action {
                assert_ne!(reach, Reach::All);
                if backend == 1 && reach == Reach::One {
                    assert!(second < 3600, "what is relied on in the next period is not told by one HSDir");
                    alone += 1;
                }
                times[backend].push(second);
                bench.feed(Event::Fetched(backend, Verdict::Good));
            }
        }
    }
    let after = |times: &Vec<u64>| times.iter().filter(|second| **second >= 3600).count();
    assert!((4..=12).contains(&after(&times[0])), "{times:?}");
    assert!((20..=60).contains(&after(&times[1])), "{times:?}");
    assert!(times[1].iter().any(|second| (3600..3600 + 180).contains(second)), "{times:?}");
    assert!(times[1].len() - after(&times[1]) <= 12, "not before: {times:?}");
    assert!(alone >= 2, "before that as usual: {times:?}");
}

/// When each of two good backends is fetched within so many seconds.
fn fetches(bench: &mut Bench, seconds: u64) -> [Vec<(UnixTime, Reach)>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _second in 0..seconds {
        for action in bench.after(1) {
            if let Action::Fetch { backend, reach } = action {
                times[backend].push((bench.now, reach));
                bench.feed(Event::Fetched(backend, Verdict::Good));
            }
        }
    }
    times
}

#[test]
fn a_backend_that_stands_by_is_fetched_less_often_until_it_is_listed() {
    let mut bench = Bench::new(2);
    bench.feed(Event::TorUp);
    bench.feed(plan(10, NOON, &[1]));
    let list = |bench: &mut Bench, listed: Option<&[usize]>| {
        let listed = listed.map(|listed| listed.iter().copied().collect());
        bench.machine.list(bench.now, listed, &mut bench.dice);
    };
    list(&mut bench, Some(&[0]));
    for backend in 0..2 {
        bench.feed(Event::Fetched(backend, Verdict::Good));
    }
    let [listed, standby] = fetches(&mut bench, 30_000);
    assert!((35..=80).contains(&listed.len()), "{}", listed.len());
    assert!((8..=25).contains(&standby.len()), "{}", standby.len());
    let gaps = standby.windows(2).map(|pair| pair[1].0.since(pair[0].0));
    assert!(gaps.clone().all(|gap| (1200..=3601).contains(&gap)), "{:?}", gaps.collect::<Vec<_>>());

    // What is known of it is older than that of any that is listed: it is fetched at once, and not from one HSDir alone.
    bench.feed(Event::Fetched(1, Verdict::Good));
    assert_eq!(fetches(&mut bench, 1100)[1], [], "it stands by");
    list(&mut bench, Some(&[0, 1]));
    let [_other, called] = fetches(&mut bench, 4);
    assert_eq!(called.iter().map(|(_at, reach)| *reach).collect::<Vec<_>>(), [Reach::Some]);
    let [first, second] = fetches(&mut bench, 30_000);
    assert!(first.len().abs_diff(second.len()) < 40, "both alike: {} and {}", first.len(), second.len());

    // What is known is news: it is fetched when the others are. Listed again, nothing changes.
    list(&mut bench, Some(&[0]));
    bench.feed(Event::Fetched(1, Verdict::Good));
    list(&mut bench, Some(&[0, 1]));
    let called = fetches(&mut bench, 901)[1].clone();
    assert!(called.iter().all(|(_at, reach)| *reach == Reach::One) && !called.is_empty(), "{called:?}");

    // Where anything may be listed at any time none stands by.
    list(&mut bench, Some(&[0]));
    bench.feed(Event::Fetched(1, Verdict::Good));
    bench.after(1000);
    list(&mut bench, None);
    assert_eq!(fetches(&mut bench, 4)[1].len(), 1);
}

#[test]
fn a_backend_that_is_listed_while_its_answer_is_awaited_is_not_fetched_twice() {
    let mut bench = Bench::new(2);
    bench.feed(Event::TorUp);
    bench.machine.list(bench.now, Some(BTreeSet::new()), &mut bench.dice);
    let first = bench.feed(plan(10, NOON, &[1]));
    let first: Vec<_> = first.into_iter().chain(bench.after(4)).collect();
    assert_eq!(first.iter().filter(|action| matches!(action, Action::Fetch { .. })).count(), 2, "{first:?}");
    bench.machine.list(bench.now, Some(BTreeSet::from([0, 1])), &mut bench.dice);
    for backend in 0..2 {
        bench.feed(Event::Fetched(backend, Verdict::Good));
    }
    let [one, two] = fetches(&mut bench, 59);
    assert!(one.is_empty() && two.is_empty(), "{one:?} {two:?}");
}

#[test]
fn after_a_failed_probe_the_descriptor_is_fetched_at_once() {
    let mut bench = Bench::probing(2, Some(60)).started();
    let second = bench.after(120);
    bench.settle(second);
    let actions = bench.feed(Event::Probed(0, false));
    let soon: Vec<_> = actions.into_iter().chain((0..4).flat_map(|_second| bench.after(1))).collect();
    assert!(soon.contains(&Action::Fetch { backend: 0, reach: Reach::Some }), "{soon:?}");
    assert!(!soon.contains(&Action::Probe { backend: 0 }), "probes go on at the usual pace: {soon:?}");
}

#[test]
fn a_backend_is_probed_at_least_as_often_as_was_said() {
    let mut bench = Bench::probing(2, Some(10)).started();
    let mut last = [bench.now; 2];
    let mut waits = BTreeSet::new();
    for _second in 0..3600 {
        for action in bench.after(1) {
            if let Action::Probe { backend } = action {
                waits.insert(bench.now.since(last[backend]));
                last[backend] = bench.now;
                bench.feed(Event::Probed(backend, true));
            }
        }
    }
    assert!(waits.last().is_some_and(|most| *most == 10), "{waits:?}");
    assert!(waits.iter().filter(|wait| (5..=10).contains(*wait)).count() == 6, "at random: {waits:?}");
}

#[test]
fn a_probe_that_says_nothing_brings_no_fetch_and_another_one_soon() {
    let mut bench = Bench::probing(1, Some(3600)).started();
    let probes = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Probe { .. }));
    while !probes(&bench.after(1)) {}
    bench.feed(Event::TorDown);
    bench.feed(Event::TorUp);
    assert!(!(0..120).any(|_second| probes(&bench.after(1))), "it goes on while tor is away");
    let (mut waited, mut actions) = (0, bench.feed(Event::NotProbed(0)));
    while !probes(&actions) {
        let fetches = actions.iter().any(|action| matches!(action, Action::Fetch { .. }));
        assert!(!(fetches && waited <= 3) && waited < 60, "after {waited} s: {actions:?}");
        actions = bench.after(1);
        waited += 1;
    }
    assert!(waited >= 30, "{waited} s");
}

/// How many backends are probed for the first time in each of so many seconds.
fn first_probes(bench: &mut Bench, mut actions: Vec<Action>, seconds: usize) -> Vec<usize> {
    let (mut counts, mut seen) = (Vec::new(), BTreeSet::new());
    for _second in 0..seconds {
        let before = seen.len();
        for action in actions {
            if let Action::Probe { backend } = action {
                seen.insert(backend);
                bench.feed(Event::Probed(backend, true));
            }
        }
        counts.push(seen.len() - before);
        actions = bench.after(1);
    }
    counts
}

#[test]
fn first_probes_come_within_an_interval_or_a_minute_and_never_all_at_once() {
    for (interval, within) in [(10, 10), (60, 60), (3600, 60)] {
        let spread = |counts: &[usize]| {
            assert_eq!(counts.iter().sum::<usize>(), 1000, "{interval}: {counts:?}");
            let most = 1000 / within * 2;
            assert!(counts.iter().all(|count| *count <= most), "{interval}: {counts:?}");
        };
        let mut bench = Bench::probing(1000, Some(interval));
        bench.feed(Event::TorUp);
        // The consensus comes later: the seconds until then are none in which probes wait.
        bench.after(90);
        let at_once = bench.feed(plan(10, NOON, &[1]));
        let at_once = at_once.iter().filter(|action| matches!(action, Action::Probe { .. })).count();
        assert!(at_once <= 1000 / within * 2, "{at_once}");
        (0..1000).for_each(|backend| drop(bench.feed(Event::Probed(backend, true))));
        // tor is away for longer than an interval: all would be due when it is back.
        bench.feed(Event::TorDown);
        bench.after(2 * interval);
        let now = bench.now;
        bench.feed(plan(10, now, &[1]));
        let actions = bench.feed(Event::TorUp);
        spread(&first_probes(&mut bench, actions, within + 1));
        bench.machine.set_probing(Some(interval));
        let actions = bench.after(0);
        spread(&first_probes(&mut bench, actions, within + 1));
    }
}

#[test]
fn unanswered_work_is_given_up_and_done_again() {
    let mut bench = Bench::running();
    bench.points(2);
    let lost = bench.after(3);
    assert_eq!(lost.len(), 2, "{lost:?}");
    let again: Vec<_> = (0..400).flat_map(|_second| bench.after(1)).collect();
    let retries =
        again.iter().filter(|action| matches!(action, Action::Upload { why: Why::Retry, .. })).count();
    assert_eq!(retries, 2, "{again:?}");
}

//! What the gate puts on record: nothing leaves before it, refusals fill no disk, checkpoints and the token's own log tie it together.

use super::*;

#[test]
fn the_tokens_own_log_is_tied_into_the_ledger_before_each_checkpoint() {
    let log = |count, octet| Some(DeviceLog { count, head: Head([octet; 32]) });
    let stage = Stage::new();
    stage.gate.start().unwrap();
    assert_eq!((stage.lines("device-log"), stage.lines("checkpoint")), (0, 1), "a token without a log");
    let mut lines = 0;
    // A shorter log than before is on record too: nothing of it is hidden from the auditor.
    for (now, new) in [(log(3, 1), 1), (log(3, 1), 0), (log(9, 2), 1), (log(1, 3), 1), (None, 0)] {
        stage.token.inside.lock().unwrap().log = now;
        stage.gate.start().unwrap();
        lines += new;
        assert_eq!(stage.lines("device-log"), lines, "{now:?}");
    }
    // The last checkpoint vouches for the line: only the start of the gate and the checkpoint itself follow it.
    stage.token.inside.lock().unwrap().log = log(20, 4);
    stage.gate.start().unwrap();
    let report = stage.audit();
    assert_eq!(
        (report.covered, report.device_logs.last().copied()),
        (Some(report.to - 1), log(20, 4).map(|log| (report.to - 1, log)))
    );
}

#[test]
fn without_its_own_logs_head_a_token_still_signs() {
    let stage = Stage::new();
    stage.token.inside.lock().unwrap().away = true;
    stage.gate.start().unwrap();
    assert_eq!((stage.lines("device-log"), stage.lines("start"), stage.lines("checkpoint")), (0, 1, 0));
    stage.token.inside.lock().unwrap().away = false;
    stage.gate.start().unwrap();
    assert_eq!((stage.lines("start"), stage.lines("checkpoint")), (2, 1));
}

#[test]
fn nothing_is_recorded_for_a_refused_request() {
    let stage = Stage::new();
    assert_eq!(rule(stage.ask(10, 2)), Rule::PeriodWindow);
    let _fresh = cert(stage.ask(10, 1));
}

#[test]
fn a_full_disk_releases_nothing_and_goes_on_when_there_is_room() {
    let stage = Stage::new();
    let _first = cert(stage.ask(10, 0));
    stage.gate.books.break_writing_for_test();
    // The ledger cannot be written anew either: a directory is in the way.
    let obstacle = stage.dir.path().join("ledger.new");
    std::fs::create_dir(&obstacle).unwrap();
    assert_eq!(reason(stage.ask(11, 0)), AwayReason::Storage);
    assert_eq!(reason(stage.ask(11, 0)), AwayReason::Storage);
    let _stored_certificate_needs_no_line = cert(stage.ask(10, 0));
    std::fs::remove_dir(&obstacle).unwrap();
    let _room_again = cert(stage.ask(11, 0));
    let stage = stage.restarted();
    assert_eq!(rule(stage.ask(11, 1)), Rule::KeyFresh);
}

#[test]
fn a_certificate_that_cannot_be_recorded_is_not_released() {
    let stage = Stage::new();
    let request = stage.request(10, 0);
    let question = Question { request: &request, uid: UID, now: stage.clock.now() };
    let Ok(Admitted::New(slot, asked)) = stage.gate.books.admit(&stage.gate.policy, &question) else {
        panic!("not admitted");
    };
    let made = stage.gate.certify(&slot, question.now).ok().unwrap();
    stage.gate.books.break_writing_for_test();
    assert!(stage.gate.books.land(&slot, asked, question.now, Some(made)).is_err());
    let released = cert(stage.ask(10, 0));
    assert_ne!(released, made);
    assert_eq!(cert(stage.restarted().ask(10, 0)), released);
}

#[test]
fn refusals_are_recorded_without_filling_the_disk() {
    let stage = Stage::new();
    for _again in 0..500 {
        assert_eq!(rule(stage.ask(10, 2)), Rule::PeriodWindow);
    }
    assert_eq!(stage.lines("refused"), 1);
    stage.later(3600);
    let _asked = cert(stage.ask(10, 0));
    assert_eq!(stage.lines("refused"), 2);
}

#[test]
fn a_full_disk_hinders_no_refusal() {
    let stage = Stage::new();
    stage.gate.books.break_writing_for_test();
    assert_eq!(rule(stage.ask(10, 2)), Rule::PeriodWindow);
}

#[test]
fn checkpoints_are_made_at_the_start_and_every_64_lines_and_are_good() {
    let stage = Stage::new();
    stage.gate.start().unwrap();
    let today = PeriodRule::PUBLIC.number_at(stage.clock.now());
    assert_eq!((stage.lines("start"), stage.lines("checkpoint")), (1, 1));
    for hour in 0..40 {
        stage.later(3600 * u64::from(hour > 0));
        let period = PeriodRule::PUBLIC.number_at(stage.clock.now());
        let _cert = cert(stage.ask(10 + u8::try_from(period.distance(today)).unwrap(), 0));
    }
    assert_eq!(stage.lines("checkpoint"), 2);
    let report = stage.audit();
    assert_eq!((report.checkpoints, report.certificates), (2, 40));
    assert!(report.covered.unwrap() >= 64, "{report:?}");
}

#[test]
fn without_a_token_serving_goes_on_and_the_checkpoint_comes_later() {
    let stage = Stage::new();
    stage.token.inside.lock().unwrap().away = true;
    stage.gate.start().unwrap();
    assert_eq!(stage.lines("checkpoint"), 0);
    stage.token.inside.lock().unwrap().away = false;
    stage.token.inside.lock().unwrap().wrong_signatures = true;
    stage.gate.start().unwrap();
    assert_eq!(stage.lines("checkpoint"), 0, "a wrong signature was recorded");
}

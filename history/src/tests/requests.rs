//! A request counts once, over all runs of an id.

use super::story::check;

#[test]
fn signal_is_known_to_the_run_that_goes_on() {
    check(
        "
        given start | take | complete | wait 2s | signal hello id=a | take | complete: continue
        next
          1 WorkflowExecutionStarted w
          ~ RequestsHeard of 1: messages 1 starts 0
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        signal hello id=a
        signal hello id=b
          3 WorkflowExecutionSignaled hello
        ",
    );
}

#[test]
fn cancellation_is_known_to_the_next_run_of_the_id() {
    check(
        "
        given start | take | complete | cancel id=a | take | complete: end-canceled
        restart id=r2
          1 WorkflowExecutionStarted w
          ~ RequestsHeard of 1: messages 1 starts 1
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        cancel id=a
        signal hello id=a
          3 WorkflowExecutionSignaled hello
        cancel id=b
          4 WorkflowExecutionCancelRequested
        ",
    );
}

#[test]
fn start_that_another_has_followed_finds_its_own_run() {
    check(
        "
        given start | terminate | restart id=r2 | terminate
        heard id=r1
          = began run 1
        heard id=r2
          = began run 11
        restart id=r3
          1 WorkflowExecutionStarted w
          ~ RequestsHeard of 2: messages 0 starts 2
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        heard id=r1
          = began run 1
        heard id=r2
          = began run 11
        heard id=r3
          = began run 21
        heard id=r4
          = never
        ",
    );
}

#[test]
fn start_finds_the_first_run_of_its_chain() {
    check(
        "
        given start | take | complete | wait 2s | signal hello | take | complete: continue
        next
          1 WorkflowExecutionStarted w
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        heard id=r1
          = began run 1
        given terminate | restart id=r2
        heard id=r1
          = began run 1
        ",
    );
}

#[test]
fn start_that_attached_finds_the_run_that_it_found() {
    check(
        "
        given start
        attach id=r2
          ~ StartAttached r2
        heard id=r2
          = found run 1
        given terminate
        heard id=r2
          = found run 1
        restart id=r3
          1 WorkflowExecutionStarted w
          ~ RequestsHeard of 1: messages 0 starts 2
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        heard id=r2
          = found run 1
        ",
    );
}

#[test]
fn what_is_older_than_a_day_is_forgotten() {
    check(
        "
        given start | take | complete | signal hello id=a | terminate | wait 23h | restart id=r2 | terminate | wait 2h
        restart id=r3
          1 WorkflowExecutionStarted w
          ~ RequestsHeard of 1: messages 0 starts 1
          2 WorkflowTaskScheduled
          > DispatchWorkflowTask 2 attempt 1 to main
        heard id=r1
          = never
        heard id=r2
          = began run 11
        ",
    );
}

#[test]
fn requests_survive_a_crash_as_they_were() {
    check(
        "
        given start | take | complete | signal hello id=a | terminate | restart id=r2 | crash
        heard id=r1
          = began run 1
        signal hello id=a
        ",
    );
}

#[test]
fn a_run_knows_the_latest_of_many_requests() {
    let mut story = super::story::Story::new();
    story.ask("start");
    for n in 0..5000 {
        story.ask(&format!("signal hello id=s{n}"));
    }
    for n in 0..300 {
        story.ask(&format!("attach id=a{n}"));
    }
    assert_eq!(story.ask("heard id=a0"), ["  = found run 1"]);
    // It was the 257th that attached.
    assert_eq!(story.ask("heard id=a256"), ["  = never"]);
    story.ask("take");
    story.ask("complete: continue");
    assert_eq!(
        story.ask("next")[1],
        "  ~ RequestsHeard of 1: messages 4096 starts 64"
    );
    assert!(story.ask("signal hello id=s4999").is_empty());
    assert!(story.ask("signal hello id=s904").is_empty());
    assert!(!story.ask("signal hello id=s903").is_empty());
    assert_eq!(story.ask("heard id=r1"), ["  = began run 1"]);
    assert_eq!(story.ask("heard id=a192"), ["  = found run 1"]);
    assert_eq!(story.ask("heard id=a191"), ["  = never"]);
    story.check_fold();

    story.ask("terminate");
    assert_eq!(
        story.ask("restart id=r2")[1],
        "  ~ RequestsHeard of 2: messages 256 starts 64"
    );
    assert!(story.ask("signal hello id=s903").is_empty());
    assert!(story.ask("signal hello id=s4745").is_empty());
    assert!(!story.ask("signal hello id=s4744").is_empty());
    assert_eq!(story.ask("heard id=r1"), ["  = began run 1"]);
    assert_eq!(story.ask("heard id=a192"), ["  = never"]);
    story.check_fold();
}

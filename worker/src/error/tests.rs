use std::time::Duration;

use history::{FailureInfo, Millis, Payload, Payloads};

use super::{Canceled, Error, failures::type_name};

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] Inner);

#[derive(Debug, thiserror::Error)]
#[error("inner")]
struct Inner(#[source] Canceled);

#[test]
fn causes_become_a_chain_down_to_what_was_recorded() {
    let error = Error::from(Outer(Inner(Canceled::new())));
    assert_eq!(error.to_string(), "outer: inner: canceled");
    assert_eq!(error.kind(), Some("Outer"));
    assert!(error.is_canceled());
}

#[test]
fn an_error_carries_what_retry_policies_and_callers_need() {
    let error = Error::new("no room")
        .of_kind("Full")
        .with_details(&[1, 2])
        .retry_after(Duration::from_secs(3));
    assert_eq!(error.kind(), Some("Full"));
    assert_eq!(error.details::<Vec<u8>>(), Some(vec![1, 2]));
    let expected = FailureInfo::Application {
        kind: "Full".to_owned(),
        non_retryable: false,
        details: Payloads::one(Payload::json(&[1, 2]).unwrap()),
        next_retry_delay: Some(Millis::seconds(3)),
    };
    assert_eq!(error.failure().info, expected);
}

#[test]
fn the_name_of_a_type_is_its_last_part_unless_that_says_nothing() {
    assert_eq!(type_name::<Outer>(), "Outer");
    assert_eq!(type_name::<std::num::ParseIntError>(), "ParseIntError");
    assert_eq!(type_name::<std::io::Error>(), "std::io::error::Error");
}

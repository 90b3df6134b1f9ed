//! Which names this server answers to. A web page can give its own name the address of this machine (DNS rebinding), and a
//! browser then lets it read whatever is answered; but it sends the page's name as `Host`, and that is refused here.

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    net::IpAddr,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    http::{HeaderValue, Uri, header},
    response::{IntoResponse as _, Response},
    routing::Route,
};
use futures::future::Either;
use tower::{Layer, Service};

use crate::error::Error;

/// The names that this server answers to beside `localhost` and every address: no page can call itself by an address that is
/// not its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts(Arc<[Host]>);

/// A name that may stand in `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// This one.
    Name(String),
    /// All below this one, written with a dot before it.
    Below(String),
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('.').unwrap_or(text);
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !name.split('.').all(is_part) {
            return Err(
                "write a name as in `coreason.example.com`, or `.example.com` for all below it, without scheme and port"
                    .to_owned(),
            );
        }
        let name = name.to_ascii_lowercase();
        Ok(if text.starts_with('.') {
            Self::Below(format!(".{name}"))
        } else {
            Self::Name(name)
        })
    }
}

impl Host {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => name.eq_ignore_ascii_case(own),
            Self::Below(end) => ends_with(name, end),
        }
    }
}

/// Whether a name ends so, and is longer.
fn ends_with(name: &str, end: &str) -> bool {
    let start = name.len().checked_sub(end.len());
    start.is_some_and(|start| {
        start > 0
            && name
                .get(start..)
                .is_some_and(|e| e.eq_ignore_ascii_case(end))
    })
}

impl Hosts {
    /// Returns a list of these, this machine's own name, and the one of a URL under which others reach it.
    pub(crate) fn new(mut allowed: Vec<Host>, advertised: Option<&str>) -> Self {
        let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let advertised = advertised.and_then(|url| url.parse::<Uri>().ok());
        let advertised = advertised.as_ref().and_then(Uri::host).unwrap_or_default();
        allowed.extend(
            [own.trim(), advertised]
                .iter()
                .filter_map(|name| name.parse().ok()),
        );
        Self(allowed.into())
    }

    fn allow(&self, host: &str) -> bool {
        let name = without_port(host);
        name.eq_ignore_ascii_case("localhost")
            || is_address(name)
            || ends_with(name, ".localhost")
            || self.0.iter().any(|host| host.is(name))
    }

    /// Refuses a request to another name. One without any is from no browser.
    fn check(&self, uri: &Uri, host: Option<&HeaderValue>) -> Result<(), Error> {
        let named = host.map(|host| String::from_utf8_lossy(host.as_bytes()));
        let asked = uri.authority().map(axum::http::uri::Authority::as_str);
        match asked
            .into_iter()
            .chain(named.as_deref())
            .find(|host| !self.allow(host))
        {
            None => Ok(()),
            Some(host) => Err(Error::HostNotAllowed(without_port(host).to_owned())),
        }
    }
}

/// Cuts the port off.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_address(name: &str) -> bool {
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    bare.unwrap_or(name).parse::<IpAddr>().is_ok()
}

/// Answers what is asked of an allowed name.
#[derive(Clone)]
pub(crate) struct Checked<S = ()> {
    hosts: Hosts,
    inner: S,
}

impl Checked {
    pub(crate) fn new(hosts: Hosts) -> Self {
        Self { hosts, inner: () }
    }
}

impl Layer<Route> for Checked {
    type Service = Checked<Route>;

    fn layer(&self, inner: Route) -> Self::Service {
        Checked {
            hosts: self.hosts.clone(),
            inner,
        }
    }
}

impl Service<Request> for Checked<Route> {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<<Route as Service<Request>>::Future, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.inner, context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self
            .hosts
            .check(request.uri(), request.headers().get(header::HOST))
        {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => Either::Right(ready(Ok(error.into_response()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let allowed =
            ["coreason.example.com", ".Internal.example"].map(|name| name.parse().unwrap());
        Hosts::new(allowed.into(), Some("http://member-1:8000"))
    }

    #[test]
    fn names_of_this_machine_addresses_and_what_was_allowed_are_answered_to() {
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "ui.localhost:8000",
            "127.0.0.1:8000",
            "10.1.2.3",
            "[::1]:8000",
            "[fe80::1]",
            "coreason.example.com",
            "Coreason.Example.com:443",
            "a.internal.example",
            "a.b.internal.EXAMPLE:1",
            "member-1:8000",
        ] {
            assert!(hosts().allow(host), "{host}");
        }
    }

    #[test]
    fn name_that_a_page_has_given_our_address_is_refused() {
        for host in [
            "",
            "evil.example",
            "evil.example:8000",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "internal.example",
            "evilinternal.example",
            ".internal.example",
            "coreason.example.com.evil.example",
            "coreason.example.com.",
            "[::1].evil.example",
            "[::1",
            "127.0.0.1:8000:evil",
            "ü",
            "a\u{0}b",
        ] {
            assert!(!hosts().allow(host), "{host}");
        }
        assert!(!Hosts::default().allow("coreason.example.com"));
    }

    #[test]
    fn both_places_of_the_name_count_and_none_is_no_browser() {
        let check = |uri: &str, host: Option<&str>| {
            let host = host.map(|host| HeaderValue::from_str(host).unwrap());
            hosts().check(&uri.parse().unwrap(), host.as_ref()).is_ok()
        };

        assert!(check("/readyz", None));
        assert!(check("/readyz", Some("localhost:1")));
        assert!(!check("/readyz", Some("evil.example")));
        assert!(!check("http://evil.example/readyz", Some("localhost")));
        assert!(!check("http://localhost/readyz", Some("evil.example")));
    }

    #[test]
    fn allowed_name_is_written_without_scheme_and_port() {
        for text in ["", ".", "http://a", "a:80", "a..b", "*", "a b"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}

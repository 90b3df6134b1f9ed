//! Under which address the other processes on the database reach this one.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use engine::Engine;
use reqwest::Url;
use tokio::net::lookup_host;

use super::{Error, Options};
use crate::app::App;

/// How long this process may take to answer itself while it starts, on a machine that is busy with that.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Returns the address: as `--advertise` says, or the one that is listened on. Where that is all of this host's, the one from which
/// it reaches the database, because the others come from there too; it must lead here.
pub(super) async fn address(
    options: &Options,
    listening: SocketAddr,
    app: &App,
) -> Result<String, Error> {
    let found = find(options, listening, app).await;
    if let (Err(Error::NoAddress { .. }), Some(url)) = (&found, options.place.url()) {
        // Nothing leads to a database that is not there; then that is what to mend.
        Engine::reach(url).await?;
    }
    found
}

async fn find(options: &Options, listening: SocketAddr, app: &App) -> Result<String, Error> {
    if let Some(given) = &options.advertise {
        let address = checked(given)?;
        if let Err(problem) = app.is_at(&address, ANSWER_MAX).await {
            tracing::warn!(
                address,
                problem,
                "the address of --advertise does not lead here; no other process reaches this one"
            );
        }
        return Ok(address);
    }
    if !listening.ip().is_unspecified() {
        return Ok(format!("http://{listening}"));
    }
    let ip = match options.place.url() {
        None => Some(Ipv4Addr::LOCALHOST.into()),
        Some(url) => towards_database(url).await,
    };
    let unknown = |problem| Error::NoAddress { listening, problem };
    let ip =
        ip.ok_or_else(|| unknown("no address of this host leads to the database".to_owned()))?;
    let address = format!(
        "http://{}",
        SocketAddr::new(ip.to_canonical(), listening.port())
    );
    match app.is_at(&address, ANSWER_MAX).await {
        Ok(()) => Ok(address),
        Err(problem) => Err(unknown(format!("{address} does not lead here: {problem}"))),
    }
}

/// Returns what `--advertise` says, as others will use it.
fn checked(given: &str) -> Result<String, Error> {
    let wrong = |problem| Error::Advertise {
        given: given.to_owned(),
        problem,
    };
    let url = Url::parse(given).map_err(|_| wrong("it is no URL"))?;
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if url.scheme() != "http" {
        Err(wrong("it does not begin with http://"))
    } else if ip.is_ok_and(|ip| ip.is_unspecified()) {
        Err(wrong(
            "nobody can be reached at an address that means all of a host's",
        ))
    } else if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
        Err(wrong("it has more than a host and a port"))
    } else {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }
}

/// Returns the address of this host from which it reaches a database.
async fn towards_database(url: &str) -> Option<IpAddr> {
    let servers = Engine::database_servers(url).ok()?;
    if servers.is_empty() {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    for (name, port) in servers {
        if let Ok(mut found) = lookup_host((name, port)).await
            && let Some(source) = found.find_map(source_towards)
        {
            return Some(source);
        }
    }
    None
}

/// Returns the source address of what is sent there. Nothing is sent.
fn source_towards(target: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_address_is_one_that_others_can_use() {
        for (given, used) in [
            ("http://member-1:8000", Some("http://member-1:8000")),
            ("http://member-1:8000/", Some("http://member-1:8000")),
            ("http://[fd00::1]:8000", Some("http://[fd00::1]:8000")),
            ("member-1:8000", None),
            ("10.0.0.1", None),
            ("https://member-1", None),
            ("http://0.0.0.0:8000", None),
            ("http://[::]:8000", None),
            ("http://member-1/path", None),
            ("http://user@member-1", None),
            ("", None),
        ] {
            assert_eq!(checked(given).ok().as_deref(), used, "{given}");
        }
    }

    #[tokio::test]
    async fn database_on_this_host_is_reached_from_loopback() {
        for url in [
            "postgres://u@127.0.0.1:5432/d",
            "postgres://u@%2Frun%2Fpostgresql/d",
            "postgres://u@127.0.0.1/d?sslmode=verify-full&sslrootcert=/root.crt",
            "postgres://u@nowhere.invalid,127.0.0.1/d",
        ] {
            let found = towards_database(url).await;

            assert_eq!(found, Some(Ipv4Addr::LOCALHOST.into()), "{url}");
        }
    }

    #[tokio::test]
    async fn database_that_is_not_there_is_named_before_an_address_is_asked_for() {
        #[derive(clap::Parser)]
        struct Words {
            #[command(flatten)]
            options: Options,
        }
        let url = "postgres://u@nowhere.invalid/d";
        let words = <Words as clap::Parser>::parse_from(["dev", "--database-url", url]);
        let app = App::answering_to(crate::hosts::Hosts::new(Vec::new(), None));
        let listening = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8000));

        let error = address(&words.options, listening, &app).await.unwrap_err();

        assert_eq!(error.code(), "DATABASE_UNREACHABLE");
    }
}

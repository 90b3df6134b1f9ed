//! TCP connections to a server, which are noticed when their way is gone.

use std::net::SocketAddr;

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::limits::{CONNECT_TIMEOUT, KEEPALIVE_AFTER, KEEPALIVE_EVERY, SENT_HEARD_WITHIN};

/// Opens a connection to an address of a name.
pub(super) async fn reach(name: &str, port: u16) -> std::io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((name, port)).await?.collect();
    first_of(&addresses, reach_at).await
}

/// Connects to the first of these addresses that answers. Each has its share of [`CONNECT_TIMEOUT`], so that one that is silent leaves
/// time for the others.
async fn first_of<T, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> std::io::Result<T>
where
    F: Future<Output = std::io::Result<T>>,
{
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let share = CONNECT_TIMEOUT / count.max(1);
    let mut failed = None;
    for address in addresses {
        let error = match timeout(share, connect(*address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => error,
            Err(_elapsed) => {
                let problem = format!("{address} gives no answer within {share:?}");
                std::io::Error::new(std::io::ErrorKind::TimedOut, problem)
            }
        };
        failed.get_or_insert(error);
    }
    Err(failed.unwrap_or_else(|| std::io::Error::other("its name has no address")))
}

/// Opens a connection. Postgres's own timeouts don't end one whose way is gone: Linux ends it when nothing has come for
/// [`SENT_HEARD_WITHIN`], however often it has asked.
pub(super) async fn reach_at(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(SENT_HEARD_WITHIN))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_way_that_is_gone_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = reach("127.0.0.1", port).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SENT_HEARD_WITHIN));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_says_nothing_leaves_time_for_the_next() {
        let addresses: [SocketAddr; 3] =
            ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"].map(|address| address.parse().unwrap());
        let connect = |answers: Option<SocketAddr>| {
            move |address| async move {
                if address == addresses[0] {
                    std::future::pending::<()>().await;
                }
                if answers == Some(address) {
                    return Ok(address);
                }
                Err(std::io::Error::other("it refuses"))
            }
        };
        let last = addresses[2];
        let reached = timeout(CONNECT_TIMEOUT, first_of(&addresses, connect(Some(last)))).await;
        assert_eq!(reached.unwrap().unwrap(), last);
        let none = timeout(CONNECT_TIMEOUT, first_of(&addresses, connect(None))).await;
        let told = none.unwrap().unwrap_err().to_string();
        assert!(told.starts_with("192.0.2.1:1 gives no answer"), "{told}");
    }
}

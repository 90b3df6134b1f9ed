//! A pooler before Postgres that gives the session to another client after each transaction, as pgbouncer does in that mode.

use std::sync::Arc;

use engine::{Config, Engine};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

use crate::{instance::Instance, support::*};

/// Reads a message and its type.
async fn message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes(message[1..].try_into().unwrap()) as usize;
    message.resize(1 + length, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

/// Reads what a client says first, and declines encryption.
async fn introduction(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    loop {
        let length = client.read_u32().await?;
        let mut rest = vec![0; length as usize - 4];
        client.read_exact(&mut rest).await?;
        if rest == [4, 210, 22, 47] {
            client.write_all(b"N").await?;
            continue;
        }
        return Ok([length.to_be_bytes().to_vec(), rest].concat());
    }
}

/// Carries messages of a server to a client until it is ready for the next query, and says whether it is in no transaction.
async fn answer(server: &mut TcpStream, client: &mut TcpStream) -> std::io::Result<bool> {
    loop {
        let message = message(server).await?;
        client.write_all(&message).await?;
        if message[0] == b'Z' {
            return Ok(message[5] == b'I');
        }
    }
}

/// Serves one client: each transaction takes the one server connection, which the first client has opened.
async fn serve(
    mut client: TcpStream,
    port: u16,
    shared: Arc<Mutex<Option<TcpStream>>>,
) -> std::io::Result<()> {
    let first = introduction(&mut client).await?;
    {
        let mut server = shared.lock().await;
        if server.is_none() {
            let mut opened = TcpStream::connect(("127.0.0.1", port)).await?;
            opened.write_all(&first).await?;
            answer(&mut opened, &mut client).await?;
            *server = Some(opened);
        } else {
            // Welcome, ready.
            client.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]).await?;
            client.write_all(&[b'Z', 0, 0, 0, 5, b'I']).await?;
        }
    }
    loop {
        let mut asked = message(&mut client).await?;
        // A client that says good-bye leaves the session to the others.
        if asked[0] == b'X' {
            return Ok(());
        }
        let mut shared = shared.lock().await;
        let server = shared.as_mut().unwrap();
        loop {
            server.write_all(&asked).await?;
            // Of a simple query or at its end of the extended protocol.
            if matches!(asked[0], b'Q' | b'S') && answer(server, &mut client).await? {
                break;
            }
            asked = message(&mut client).await?;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_gives_a_session_to_several_clients_is_refused() {
    let postgres = Instance::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pooler = listener.local_addr().unwrap().port();
    let shared = Arc::default();
    let port = postgres.port;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, port, Arc::clone(&shared)));
        }
    });
    let through = format!("postgres://postgres@127.0.0.1:{pooler}/postgres");
    let refused = Engine::open(Config::new(&*through, "http://127.0.0.1:1")).await;
    let refused = refused.err().expect("it is refused");
    assert_eq!(refused.code(), "DATABASE_POOLED");
    let advice = std::error::Error::source(&refused).map(ToString::to_string);
    let advice = advice.unwrap_or_default();
    assert!(advice.contains("pool_mode = session"), "{advice}");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    assert_eq!(
        number(&postgres.url(), sessions).await,
        2,
        "the pooler's and this one"
    );
    drop(owner(&postgres.url()).await);
}

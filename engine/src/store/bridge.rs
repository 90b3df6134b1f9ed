//! A door inside this process for the connections of sqlx, which knows neither several servers nor libpq's meaning of `sslmode`, and
//! does not notice that the way to another machine is gone: what comes in goes [the way](super::way) of all others. Only this user may come in.

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    path::PathBuf,
};

use nix::unistd::geteuid;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::UnixStream,
};

use tokio_postgres::error::SqlState;

use super::{Error, way::Way};

/// The port in the name of the socket; any will do.
pub(super) const PORT: u16 = 5432;

/// A door.
#[derive(Debug)]
pub(super) struct Bridge {
    name: String,
}

impl Bridge {
    /// Opens a door, which stays open as long as the process lives.
    pub(super) fn open(way: Way) -> Result<Self, Error> {
        let name = format!("coreason-{}", uuid::Uuid::new_v4());
        let carry = || -> std::io::Result<()> {
            let address = format!("{name}/.s.PGSQL.{PORT}");
            let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(address)?)?;
            listener.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            std::thread::Builder::new()
                .name("coreason-bridge".to_owned())
                .spawn(move || runtime.block_on(serve(listener, way)))?;
            Ok(())
        };
        carry().map_err(Error::Bridge)?;
        Ok(Self { name })
    }

    /// Returns the folder of its socket, as sqlx wants it: a name that begins with NUL is in no file system.
    pub(super) fn folder(&self) -> PathBuf {
        PathBuf::from(format!("\0{}", self.name))
    }
}

async fn serve(listener: UnixListener, way: Way) {
    let listener = match tokio::net::UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "connections to the database can't be made"
            );
            return;
        }
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, say: nothing comes of trying at once.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let ours = stream
            .peer_cred()
            .is_ok_and(|peer| peer.uid() == geteuid().as_raw());
        if ours {
            let way = way.clone();
            tokio::spawn(async move { drop(carry(stream, &way).await) });
        }
    }
}

/// Carries a connection to the database and back, until one side hangs up.
async fn carry(mut inside: UnixStream, way: &Way) -> std::io::Result<()> {
    match way.dial().await {
        Ok(mut outside) => {
            copy_bidirectional(&mut inside, &mut outside).await?;
            Ok(())
        }
        Err(error) => refuse(&mut inside, &error).await,
    }
}

/// Says why there is no connection, as a server would.
async fn refuse(inside: &mut UnixStream, error: &Error) -> std::io::Result<()> {
    // What a client says first is answered, not overheard.
    let length = usize::try_from(inside.read_u32().await?).unwrap_or(0);
    let mut introduction = vec![0; length.saturating_sub(4).min(10_000)];
    inside.read_exact(&mut introduction).await?;
    let reason = error.with_causes().replace('\0', "");
    let code = match error {
        Error::Driver(told) => told.code().map_or("08001", SqlState::code),
        _ => "08001",
    };
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{reason}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
    inside.write_u8(b'E').await?;
    inside.write_u32(length).await?;
    inside.write_all(fields.as_bytes()).await?;
    inside.flush().await
}

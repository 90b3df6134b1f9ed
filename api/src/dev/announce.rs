//! What a person at the terminal reads once everything runs.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
    net::SocketAddr,
};

use super::database::Database;

/// Prints where everything is. Where nobody reads it, everything runs all the same.
pub(super) async fn ready(address: SocketAddr, database: &Database) {
    let mut text = String::new();
    // A text takes everything.
    let _ = write(&mut text, address, database);
    let printed = tokio::task::spawn_blocking(move || {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    });
    if let Ok(Err(error)) = printed.await {
        tracing::warn!(%error, "nobody reads on stdout where everything is");
    }
}

fn write(out: &mut String, address: SocketAddr, database: &Database) -> fmt::Result {
    writeln!(out, "coreason {} is ready", env!("CARGO_PKG_VERSION"))?;
    writeln!(
        out,
        "  REST      http://{address}/api/v1/namespaces/default/workflows"
    )?;
    match database {
        Database::Embedded(server) => {
            writeln!(out, "  database  psql '{}'", server.url_with_passfile())?;
            let (version, folder) = (server.version(), server.bin_dir().display());
            writeln!(out, "  Postgres  {version} from {folder}")?;
        }
        // It could be opened, so its address can be read.
        Database::External(url) => {
            let place = engine::store::named(url).unwrap_or_default();
            writeln!(out, "  database  {place}")?;
        }
    }
    writeln!(out, "  stop      Ctrl-C")
}

//! What a person at the terminal reads once everything runs.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
};

use super::{Error, database::Database};

/// Prints where everything is.
pub(super) fn ready(address: SocketAddr, database: &Database) -> Result<(), Error> {
    write(address, database).map_err(|source| Error::Io {
        doing: "write to the terminal",
        source,
    })
}

fn write(address: SocketAddr, database: &Database) -> io::Result<()> {
    let mut out = io::stdout().lock();
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
    writeln!(out, "  stop      Ctrl-C")?;
    out.flush()
}

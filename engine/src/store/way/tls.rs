//! TLS to Postgres, with libpq's meaning of `sslmode`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
        SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_name,
        },
        crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
        server::ParsedCertificate,
    },
};

use crate::store::{
    Error,
    address::sslmode::{Mode, Settings},
};

/// What asks a server for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Where systems keep the authorities that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Makes a connection encrypted.
#[derive(Clone)]
pub(crate) struct Encryption {
    mode: Mode,
    connector: TlsConnector,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encryption")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// A connection that may be encrypted.
pub(crate) enum Negotiated {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Why a connection is not as it is to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The server has no TLS.
    #[error("the server does not speak TLS, and sslmode asks for it")]
    NoTls,
    /// The way to the server failed.
    #[error("the server can't be reached")]
    Io(#[from] std::io::Error),
    /// No agreement, or the server is not who it is to be.
    #[error("TLS with the server failed")]
    Handshake(#[source] std::io::Error),
}

impl Encryption {
    /// Reads the files that are named; `None` where nothing is to be encrypted.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>, Error> {
        if settings.mode == Mode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = Arc::new(Verifier::of(settings, &provider)?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Address(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&settings.certificate, &settings.key) {
            (None, _) => config.with_no_client_auth(),
            (Some(file), None) => {
                return Err(Error::Address(format!(
                    "{} is given without its key: add sslkey=FILE",
                    file.display()
                )));
            }
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let bytes = read(key)?;
                let own =
                    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| unusable(key, &error))?;
                let config = config.with_client_auth_cert(chain, own);
                config.map_err(|error| unusable(certificate, &error))?
            }
        };
        Ok(Some(Self {
            mode: settings.mode,
            connector: TlsConnector::from(Arc::new(config)),
        }))
    }
}

fn unusable(file: &Path, problem: &dyn std::fmt::Display) -> Error {
    Error::Address(format!("{} can't be used: {problem}", file.display()))
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| unusable(file, &error))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if all.is_empty() => Err(unusable(file, &"it has no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(file, &error)),
    }
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, Error> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_ROOTS.iter().map(PathBuf::from);
    let file = named.into_iter().chain(usual).find(|file| file.exists());
    match file {
        Some(file) => certificates(&file),
        None => Err(Error::Address(
            "sslrootcert=system, and this system has no file of authorities: install ca-certificates, or name it in SSL_CERT_FILE".to_owned(),
        )),
    }
}

impl Encryption {
    /// Agrees with a server on TLS.
    pub(crate) async fn negotiate(
        &self,
        mut stream: TcpStream,
        host: &str,
    ) -> Result<Negotiated, Refused> {
        stream.write_all(&SSL_REQUEST).await?;
        match stream.read_u8().await? {
            b'S' => {}
            b'N' => {
                return match self.mode {
                    Mode::Prefer | Mode::Disable => Ok(Negotiated::Plain(stream)),
                    Mode::Require | Mode::VerifyCa | Mode::VerifyFull => Err(Refused::NoTls),
                };
            }
            // What it says is not to be trusted: anybody may have said it.
            _ => return Err(std::io::Error::other("it answers with an error").into()),
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Refused::Handshake(std::io::Error::other(error)))?;
        let stream = self.connector.connect(name, stream).await;
        Ok(Negotiated::Encrypted(Box::new(
            stream.map_err(Refused::Handshake)?,
        )))
    }

    /// Says whether a connection without TLS will do.
    pub(crate) fn is_optional(&self) -> bool {
        self.mode == Mode::Prefer
    }
}

/// Whom a server's certificate must come from.
#[derive(Debug)]
struct Trust {
    chain: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    /// Its name counts, too.
    by_name: bool,
}

/// Looks at a server's certificate, as much as `sslmode` asks for.
#[derive(Debug)]
struct Verifier {
    /// `None`: whoever it is.
    trust: Option<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn of(settings: &Settings, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let algorithms = provider.signature_verification_algorithms;
        let root = match (settings.mode, &settings.root) {
            (Mode::Disable | Mode::Prefer, _) | (_, None) => None,
            (_, Some(root)) => Some(root),
        };
        let Some(root) = root else {
            return Ok(Self {
                trust: None,
                algorithms,
            });
        };
        let trusted = if root == Path::new("system") {
            system_roots()?
        } else {
            certificates(root)?
        };
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(trusted.iter().cloned());
        if added == 0 {
            return Err(unusable(root, &"it has no certificate of an authority"));
        }
        let chain =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let chain = chain.build().map_err(|error| unusable(root, &error))?;
        let trust = Trust {
            chain,
            trusted,
            by_name: settings.mode == Mode::VerifyFull,
        };
        Ok(Self {
            trust: Some(trust),
            algorithms,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(trust) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = trust.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !trust.by_name => Ok(ServerCertVerified::assertion()),
            // A certificate that its server has signed itself is trusted where it is named itself.
            Err(TlsError::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if trust.trusted.iter().any(|own| own == end_entity) => {
                if trust.by_name {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

//! Asks a running pipeline, for the commands.
//!
//! Invariant: it talks to the address of the pipeline file only, and reads no more than [`MAX_ANSWER_BYTES`].

use crate::options::Settings;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use pipeline_core::SensitiveString;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// How long a connection and an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The interface of a running pipeline.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    token: Option<SensitiveString>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nothing listens there.
    #[error("nothing listens on {0}")]
    NotRunning(SocketAddr),
    /// Something else happened.
    #[error("{0}")]
    Failed(String),
}

impl Client {
    /// The interface that a section describes. The token is read now.
    pub(crate) fn new(settings: &Settings) -> Result<Self, ClientError> {
        let mut address = settings.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let token = settings.token().map_err(ClientError::Failed)?;
        Ok(Self { address, token })
    }

    /// The JSON at this path.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.ask(Method::GET, path).await
    }

    /// Changes something, without a body.
    pub(crate) async fn post(&self, path: &str) -> Result<Value, ClientError> {
        self.ask(Method::POST, path).await
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Value, ClientError> {
        let failed =
            |problem: &str| ClientError::Failed(format!("the api at {} {problem}", self.address));
        let asked = async {
            let response = self.send(method, path, None).await?;
            let status = response.status();
            let answer = json(response.into_body()).await;
            if status.is_success() {
                return answer.ok_or_else(|| failed("did not answer with JSON"));
            }
            Err(self.refused(status, answer.as_ref()))
        };
        let answer = tokio::time::timeout(ANSWER_LIMIT, asked).await;
        answer.unwrap_or_else(|_| Err(failed("did not answer in time")))
    }

    /// The stream at this path, from the event of this number on.
    pub(crate) async fn stream(
        &self,
        path: &str,
        last_seen: Option<&str>,
    ) -> Result<Incoming, ClientError> {
        let response = self.send(Method::GET, path, last_seen).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let answer = json(response.into_body()).await;
        Err(self.refused(status, answer.as_ref()))
    }

    fn refused(&self, status: StatusCode, answer: Option<&Value>) -> ClientError {
        let message = answer.and_then(|answer| answer["error"]["message"].as_str());
        let message = pipeline_core::shown(message.unwrap_or("no reason")).to_string();
        let (address, status) = (self.address, status.as_u16());
        ClientError::Failed(format!("the api at {address} answered {status}: {message}"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        last_seen: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let address = self.address;
        let failed = |error: &dyn std::fmt::Display| {
            ClientError::Failed(format!("the api at {address} cannot be asked: {error}"))
        };
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::ConnectionRefused => ClientError::NotRunning(address),
                _ => failed(&error),
            })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path);
        let mut request = request.header(HOST, address.to_string());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(last_seen) = last_seen {
            request = request.header("last-event-id", last_seen);
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|error| failed(&error))?;
        let sent = sender.send_request(request).await;
        sent.map_err(|error| failed(&error))
    }
}

async fn json(body: Incoming) -> Option<Value> {
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

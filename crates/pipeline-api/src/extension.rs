//! The section `api`: starts the server with a pipeline and stops it with the pipeline.

use crate::charts;
use crate::console;
use crate::guard::Guard;
use crate::options::{ApiOptions, SECTION, Settings};
use crate::server::Server;
use crate::shared::Shared;
use async_trait::async_trait;
use pipeline_cli::{Companion, Extension, Failure, ProgramSection, StartedPipeline};
use pipeline_core::options::Problem;
use pipeline_core::{Observer, Resource, schemars};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long a replay may take to end once the pipeline has. What it has not noted by then is only sent twice.
const REPLAY_LIMIT: Duration = Duration::from_secs(5);

/// Adds the section `api` to the pipeline file.
#[derive(Debug)]
pub struct ApiExtension;

/// The section and its options.
pub(crate) fn section() -> ProgramSection {
    ProgramSection {
        name: SECTION,
        schema: schemars::schema_for!(ApiOptions).to_value(),
    }
}

#[async_trait]
impl Extension for ApiExtension {
    fn section(&self) -> Option<ProgramSection> {
        Some(section())
    }

    fn check(&self, options: &Value) -> Vec<Problem> {
        Settings::read(options).err().unwrap_or_default()
    }

    fn resources(&self, options: &Value) -> Vec<Resource> {
        let settings = Settings::read(options).ok();
        let address = settings.map(|settings| Resource::Listen(settings.address));
        address.into_iter().collect()
    }

    async fn start(&self, options: &Value) -> Result<Option<Box<dyn Companion>>, Failure> {
        let settings = Settings::read(options).map_err(|problems| {
            let first = problems.first().map(ToString::to_string);
            Failure::Run(format!("`{SECTION}`: {}", first.unwrap_or_default()))
        })?;
        let token = settings.token().map_err(Failure::Run)?;
        let address = settings.address;
        let fresh = settings.console.and(token.clone());
        let guard = Guard::new(address, settings.hosts, token, settings.read_only);
        let shared = Arc::new(Shared {
            shows_as_sent: settings.shows_as_sent,
            ..Shared::new(settings.read_only)
        });
        let server = Server::start(address, guard, Arc::clone(&shared)).await;
        let server = server.map_err(|error| {
            Failure::Run(format!("the api cannot listen on {address}: {error}"))
        })?;
        tracing::info!("the api listens on http://{}", server.address);
        if let Some(is_fresh) = settings.console {
            console::announce(server.address, fresh.filter(|_| is_fresh).as_ref());
        }
        Ok(Some(Box::new(Running {
            server,
            shared,
            stays: settings.stay,
            keeping: None,
        })))
    }
}

struct Running {
    server: Server,
    shared: Arc<Shared>,
    stays: bool,
    /// The task that keeps the series.
    keeping: Option<AbortHandle>,
}

#[async_trait]
impl Companion for Running {
    fn observers(&self) -> Vec<Arc<dyn Observer>> {
        vec![
            Arc::clone(&self.shared.attempts) as Arc<dyn Observer>,
            Arc::clone(&self.shared.feed) as Arc<dyn Observer>,
        ]
    }

    fn stays(&self) -> bool {
        self.stays
    }

    fn started(&mut self, pipeline: StartedPipeline) {
        self.shared.series.open(pipeline.data_dir.as_deref());
        // There is one pipeline.
        let _ = self.shared.pipeline.set(pipeline);
        let keeping = tokio::spawn(charts::keep(Arc::clone(&self.shared)));
        self.keeping = Some(keeping.abort_handle());
    }

    fn describe(&self) -> String {
        String::new()
    }

    async fn stop(self: Box<Self>) {
        // They have been told with the pipeline; what they have delivered is noted by then.
        let _ = tokio::time::timeout(REPLAY_LIMIT, self.shared.letters.ended()).await;
        self.server.stop();
        if let Some(keeping) = &self.keeping {
            keeping.abort();
            self.shared.look();
            charts::write(&self.shared, true).await;
        }
    }
}

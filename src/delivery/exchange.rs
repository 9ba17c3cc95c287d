//! One HTTP request and the reading of its answer.

use crate::response::{self, Answer, Code};
use reqwest::{RequestBuilder, Response};

/// Bytes of an answer that are read; Meta's answers are far smaller.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Sends a request and reads the answer; never an error text of the HTTP library, which can show a URL.
pub(super) async fn exchange(request: RequestBuilder) -> Answer {
    let read = async {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(response::read(status, &headers, &bounded(response).await?))
    };
    read.await.unwrap_or_else(|error: reqwest::Error| {
        let code = if error.is_timeout() {
            Code::Timeout
        } else {
            Code::ConnectionFailed
        };
        Answer::Retry {
            after: None,
            reason: code.reason(),
        }
    })
}

/// The first [`MAX_ANSWER_BYTES`] of the body. A longer body is cut off there, and no longer JSON.
async fn bounded(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(body)
}

//! What agents ask of models: `POST /v1/chat/completions`, `/v1/messages`, `/v1/embeddings`, and `GET /v1/models`.

use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Session, access};
use crate::gate::allowance::charge;
use crate::gate::body::{self, Body};
use crate::gate::budget::{self, Prices};
use crate::gate::exchange::Exchange;
use crate::gate::plan::{LARGE, Plan};
use crate::gate::policy::Attempt;
use crate::gate::refusal::{Refusal, reply};
use crate::gate::turns::{Full, Most};
use crate::provider::{Ask, AskError, Door, Outgoing, Wire, forwardable_request};
use crate::run::capability::BudgetScope;

/// Sends a request on `wire` to whom the model table names, and passes the answer back.
pub(super) async fn complete(
    session: &Session,
    wire: Wire,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let attempt = session.attempt();
    let headers = forwardable_request(request.headers().clone());
    if let Some(refusal) =
        foreign_text(&headers).or_else(|| Door::of_headers(&headers).map(|door| access::refused(&door)))
    {
        body::ignore(request).await;
        return Err(refusal);
    }
    let seat = match admit(session, &attempt) {
        Ok(seat) => seat,
        Err(refusal) => {
            body::ignore(request).await;
            return Err(refusal);
        }
    };
    let patience = session.body_patience();
    let (body, room) = body::read(request, attempt.limits.body_bytes, patience, &session.gate.room).await?;
    let ask = if body.len() > LARGE {
        let body = body.clone();
        // As a tree a body takes several times its size: one of them at a time.
        let _alone = session.gate.parsing.lock().await;
        let parsed = tokio::task::spawn_blocking(move || Ask::parse(wire, &body)).await;
        parsed.map_err(|e| Refusal::bad_request(e.to_string()))?
    } else {
        Ask::parse(wire, &body)
    };
    let ask = ask.map_err(|error| match error {
        AskError::Door(door) => access::refused(&door),
        error => Refusal::bad_request(error.to_string()),
    })?;
    let mut steps = session.gate.rules().route(&attempt, &ask.model)?;
    access::check(&attempt, &ask, &steps)?;
    let counts = budget::counts_tokens(session, &ask.model);
    steps.iter_mut().for_each(|step| step.target.counts = counts);
    budget::check(session, &ask.model, &steps).await?;
    let rules = session.gate.rules();
    let prices = Prices::of(&rules.policy, &ask.model, &steps);
    // What cannot be said to the provider is refused before it counts.
    let request = Outgoing { wire, headers, body, ask };
    let (plan, first) = Plan::new(session.gate.clone(), steps, request).await?;
    let limit = attempt.limits.llm_requests;
    let policy = &rules.policy;
    let run = policy.ceilings.without(policy.given).requests;
    let most = Most { node: limit, agent: attempt.ceilings.without(attempt.given).requests, run };
    let turn = match session.gate.turns.take(attempt.node.as_str(), most) {
        Ok(turn) => turn,
        Err(Full::Run) => {
            return Err(
                budget::no_more_requests(session, BudgetScope::Run, policy.ceilings.requests.unwrap_or(0)).await
            );
        }
        Err(Full::Agent) => {
            return Err(
                budget::no_more_requests(session, BudgetScope::Agent, attempt.ceilings.requests.unwrap_or(0)).await
            );
        }
        Err(Full::Node) => {
            let message = format!("the node `{}` has made all of its {limit} LLM requests", attempt.node);
            return Err(
                Refusal::new(StatusCode::TOO_MANY_REQUESTS, "iterations_exhausted", message).with("limit", limit)
            );
        }
    };
    let (grant, turn) = match charge(&session.gate, &attempt, &plan.request.ask.model, &prices)? {
        Some(allowance) => (Some(allowance.grant), turn.and(allowance.turn)),
        None => (None, turn),
    };
    let days = budget::take(session).await?;
    session.socket.goes_on();
    let (answer, answered) = oneshot::channel();
    let (gate, socket, client) = (session.gate.clone(), session.socket.clone(), session.client.clone());
    tokio::spawn(Exchange { gate, socket, client, attempt, grant, plan, first, turn, days, room, seat }.run(answer));
    // Dropping this future, when the client leaves or is cut off, is what tells the exchange to stop.
    answered.await.unwrap_or_else(|_| Err(Refusal::closed()))
}

/// Refuses a body that says that it is not UTF-8: the upstream would read another text than the gate does.
fn foreign_text(headers: &HeaderMap) -> Option<Refusal> {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let foreign = kinds.any(|kind| {
        let Ok(kind) = kind.to_str() else { return true };
        kind.split(';').skip(1).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("charset")
                && !["utf-8", "utf8", "us-ascii"].iter().any(|own| value.eq_ignore_ascii_case(own))
        })
    });
    foreign.then(|| {
        let message = "the body is of another charset than UTF-8";
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_charset", message)
    })
}

/// A seat for one more request, unless it comes too fast.
fn admit(session: &Session, attempt: &Attempt) -> Result<OwnedSemaphorePermit, Refusal> {
    let seat = session.socket.seat_at_models().map_err(Refusal::too_many_at_once)?;
    let limits = &attempt.limits;
    let pace = session.gate.pace.step(attempt.node.as_str(), Instant::now(), limits.per_second, limits.per_minute);
    pace.map_err(Refusal::too_fast)?;
    Ok(seat)
}

/// The models that this attempt may use, in a shape that OpenAI's and Anthropic's clients both read.
pub(super) fn models(session: &Session) -> Result<Response<Body>, Refusal> {
    let rules = session.gate.rules();
    let attempt = session.attempt();
    let models: Vec<Value> = rules
        .models(&attempt)
        .into_iter()
        .map(|id| {
            let owner = rules.provider_of(&id).unwrap_or_default();
            json!({
                "id": id, "object": "model", "created": 0, "owned_by": owner,
                "type": "model", "display_name": id, "created_at": "1970-01-01T00:00:00Z",
            })
        })
        .collect();
    let end = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    let (first, last) = (end(models.first()), end(models.last()));
    let list = json!({"object": "list", "data": models, "has_more": false, "first_id": first, "last_id": last});
    Ok(reply(StatusCode::OK, &list))
}

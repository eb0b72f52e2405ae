"""The two documents of the configuration's acceptance, as the user wrote them."""

CONTRACT = """\
# As written in the user's documents. Must load and be enforced as it stands.
agent:
  model: "gpt-4.1"   # replace with your chosen provider model
  output_schema: "OrderDraft"  # JSON schema validated server-side
  tools:
    - name: "inventory.lookup"
      timeout_ms: 1500
      retries: 1
    - name: "payments.create_intent"
      timeout_ms: 2000
      retries: 0
      requires_human_approval: true
  limits:
    max_steps: 6
    max_input_tokens: 8000
    max_output_tokens: 800
  logging:
    trace_id: true
    store_prompts: "redacted"
"""
POLICY = """\
# As written in the user's documents. Must load and be enforced as it stands.
TASK_BUDGETS:
  support_reply:
    max_model_calls: 5
    max_input_tokens: 6000
    max_output_tokens: 700
    p95_latency_slo_ms: 6000
ROUTING:
  default_model: "gpt-4o-mini"
  escalate_if:
    - condition: "confidence < 0.72"
      model: "claude-3-5-sonnet"
    - condition: "account_tier == 'enterprise' and sentiment == 'high_risk'"
      model: "gpt-4o"
CACHING:
  semantic_cache:
    enabled: true
    similarity_threshold: 0.92
    ttl_seconds: 86400
"""

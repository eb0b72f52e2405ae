"""What `prices:` in interlock.yaml may say of a model. Above: schema, economics. Below: blocks, core."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from interlock.core.money import Rates

from .blocks import Amount, Block, Count, NanoUsd, Text


class PriceSettings(Block):
    """An own price of one model: dollars per million tokens, or dollars per hour of an own GPU."""

    input_nano_usd: NanoUsd | None = Field(default=None, alias="input_mtok_usd")
    cache_read_nano_usd: NanoUsd | None = Field(default=None, alias="cache_read_mtok_usd")
    cache_write_nano_usd: NanoUsd | None = Field(default=None, alias="cache_write_mtok_usd")
    cache_write_1h_nano_usd: NanoUsd | None = Field(default=None, alias="cache_write_1h_mtok_usd")
    output_nano_usd: NanoUsd | None = Field(default=None, alias="output_mtok_usd")
    reasoning_nano_usd: NanoUsd | None = Field(default=None, alias="reasoning_mtok_usd")
    input_image_nano_usd: NanoUsd | None = Field(default=None, alias="input_image_mtok_usd")
    input_audio_nano_usd: NanoUsd | None = Field(default=None, alias="input_audio_mtok_usd")
    output_image_nano_usd: NanoUsd | None = Field(default=None, alias="output_image_mtok_usd")
    output_audio_nano_usd: NanoUsd | None = Field(default=None, alias="output_audio_mtok_usd")
    gpu_hour_nano_usd: NanoUsd | None = Field(default=None, alias="gpu_hour_usd")
    tokens_per_second: Annotated[Amount, Field(gt=0)] | None = None
    """Output tokens per second of the own GPU, for estimates before a call."""
    source: Text = "configuration"
    since: Text = ""
    tier: Text = "standard"
    above_input: Count = 0

    @model_validator(mode="after")
    def _one_kind(self) -> PriceSettings:
        tokens = self.input_nano_usd is not None or self.output_nano_usd is not None
        if tokens == (self.gpu_hour_nano_usd is not None):
            raise ValueError("expected either input_mtok_usd and output_mtok_usd, or gpu_hour_usd")
        if tokens and (self.input_nano_usd is None or self.output_nano_usd is None):
            raise ValueError("expected both input_mtok_usd and output_mtok_usd; write 0 for a free one")
        if not tokens and self.tokens_per_second is None:
            raise ValueError(
                "expected tokens_per_second beside gpu_hour_usd, so that a call can be estimated before it is sent"
            )
        return self

    @property
    def rates(self) -> Rates:
        """Nano-dollars per million tokens; what is not set costs what plain input or output costs."""
        if self.gpu_hour_nano_usd is not None:
            return Rates(compute_ms=self.gpu_hour_nano_usd)
        into, out = self.input_nano_usd or 0, self.output_nano_usd or 0

        def known(value: int | None, otherwise: int) -> int:
            return otherwise if value is None else value

        return Rates(
            input=into,
            cache_read=known(self.cache_read_nano_usd, into),
            cache_write=known(self.cache_write_nano_usd, into),
            cache_write_1h=known(self.cache_write_1h_nano_usd, known(self.cache_write_nano_usd, into)),
            output=out,
            reasoning=known(self.reasoning_nano_usd, out),
            input_image=known(self.input_image_nano_usd, into),
            input_audio=known(self.input_audio_nano_usd, into),
            output_image=known(self.output_image_nano_usd, out),
            output_audio=known(self.output_audio_nano_usd, out),
        )

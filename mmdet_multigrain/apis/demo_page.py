"""A page on this machine where photos are dropped in and detections appear; needs gradio.

Nothing leaves the machine: gradio's statistics are off, and the page loads no fonts or scripts from
elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

from .answers import answers_of
from .detector import Detector, Prediction
from .drawing import draw

if TYPE_CHECKING:
    import gradio

STEP = 1e-4  # of the slider for theta
COLUMNS = ('answer', 'class', 'superclass', 'score of the class', 'score of the answer')
_ABOUT = (
    'Each object is answered with its class, or with the finest group whose probability is above '
    'theta. A question mark in the picture says that an answer is less than a class.'
)


def build_page(detector: Detector, *, title: str, score_thr: float) -> gradio.Blocks:
    """The page; `launch` serves it.

    Args:
        detector: With a rule for answers, whose threshold the page starts with.
        title: Heading of the page.
        score_thr: Where the slider of scores starts.

    Raises:
        ConfigError: gradio is not installed.
    """
    gr = _gradio()
    detect = detection(detector)
    with gr.Blocks(title=title, analytics_enabled=False) as page:
        gr.Markdown(f'# {title}\n{_ABOUT}')
        with gr.Row():
            with gr.Column():
                photo = gr.Image(label='Photo', type='pil', sources=['upload', 'clipboard'])
                score = gr.Slider(0, 1, score_thr, step=0.01, label='lowest score of the class')
                theta = gr.Slider(
                    0,
                    1,
                    start_of(detector.answers),
                    step=STEP,
                    label='theta: 0 answers with the class, 1 with "object"',
                )
            with gr.Column():
                # Without the button that shares the picture on the network.
                picture = gr.Image(
                    label='Detections',
                    format='png',
                    interactive=False,
                    buttons=['download', 'fullscreen'],
                )
        table = gr.Dataframe(headers=[*COLUMNS], label='Answers', interactive=False)
        promise = gr.Markdown()
        gr.on(
            [photo.change, score.change, theta.change],
            detect,
            inputs=[photo, score, theta],
            outputs=[picture, table, promise],
            api_name='detect',
            trigger_mode='always_last',
        )
    return page


def launch(page: gradio.Blocks, *, host: str, port: int | None, wait: bool = True) -> str:
    """Serve the page; its address.

    Args:
        page: Of `build_page`.
        host: Address to listen on; 127.0.0.1 is reached from this machine only.
        port: Default: the first free one from 7860 on.
        wait: Until Ctrl-C.

    Raises:
        ConfigError: The port is not free, or the host is not an address of this machine.
    """
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            show_error=True,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise ConfigError(
            f'host {host}, port {port or "7860 to 7959"}: cannot be used ({error})'
        ) from None
    print(f'{address} (Ctrl-C ends it)', flush=True)
    if wait:
        page.block_thread()
    return address


def detection(detector: Detector) -> Callable[..., tuple[Image.Image | None, list, str]]:
    """A function of photo, lowest score and theta: the picture, rows of `COLUMNS`, and the promise.

    The last few photos are kept, so that only a new one takes the network's time.
    """
    taxonomy, rule = detector.taxonomy, detector.answers

    @lru_cache(maxsize=4)
    def found(size: tuple[int, int], pixels: bytes) -> Prediction:
        return detector.predict([Image.frombytes('RGB', size, pixels)])[0]

    def detect(
        photo: Image.Image | None, score_thr: float, theta: float
    ) -> tuple[Image.Image | None, list[list[Any]], str]:
        if photo is None:
            return None, [], ''
        photo = ImageOps.exif_transpose(photo).convert('RGB')
        now = rule_at(rule, theta)
        prediction = found(photo.size, photo.tobytes()).above(score_thr).answered(now)
        rows = answer_rows(prediction, taxonomy)
        return draw(prediction, taxonomy), rows, promised(now, score_thr)

    return detect


def answer_rows(prediction: Prediction, taxonomy: Taxonomy) -> list[list[Any]]:
    """`COLUMNS` of each answer, by falling score."""
    return [
        [
            answer.name,
            taxonomy.classes[answer.label],
            taxonomy.superclass_of(answer.label),
            round(float(prediction.scores[answer.members[0]]), 4),
            round(answer.score, 4),
        ]
        for answer in answers_of(prediction, taxonomy)
    ]


def start_of(rule: AnswerRule) -> float:
    """Where the slider of theta starts, from 0 to 1: there the rule itself holds."""
    return 1 if rule.theta is None else max(rule.theta, 0)


def rule_at(rule: AnswerRule, theta: float) -> AnswerRule:
    """The rule with a slider's threshold, of which nothing is promised, unless it is its own."""
    if abs(theta - start_of(rule)) < STEP:
        return rule
    return replace(rule, theta=theta, promise=None, reason=None)


def promised(rule: AnswerRule, score_thr: float) -> str:
    """What is promised of answers to all detections that score this, or why there is no threshold."""
    if rule.theta is None and rule.reason:
        return rule.reason
    if rule.promise and abs(score_thr - (rule.score_thr or 0)) < 1e-6:
        return rule.promise
    return 'Nothing is promised of answers at these sliders (tools/calibrate.py).'


def _gradio() -> Any:
    # It asks the network for its newest version, unless statistics are off when it is imported.
    os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    try:
        import gradio
    except ImportError:
        raise ConfigError('the page needs gradio: pip install -r requirements/demo.txt') from None
    return gradio

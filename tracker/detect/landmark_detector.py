"""Finds people and follows them.

Whoever is found is followed from frame to frame in their own region (`follow.py`), which is quick. Beside that, in
another thread, the frame is searched (`search.py`): four times a second, and soon when somebody is lost. What
was found there is a little old when it comes: it is followed in the present frame from the region that it had.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType

import numpy as np

from tracker.core.arrays import Array
from tracker.core.detection import Detection
from tracker.core.existence import Existence, Look
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.detect.background_search import BackgroundSearch
from tracker.detect.candidate import (
    FOUND_OVERLAP,
    Candidate,
    alike,
    as_agreed,
    candidate_of,
    in_frame,
    is_person,
    is_same_person,
    the_more_expected,
    uncovered,
    without_duplicates,
)
from tracker.detect.clothing_colour import appearance_of
from tracker.detect.detect_config import DetectConfig
from tracker.detect.erase import erased
from tracker.detect.follow import Followed, Follower, Region
from tracker.detect.landmark_choice import open_finder, open_follower
from tracker.detect.looks_anew import AGREEING, LOOKS, LooksAnew
from tracker.detect.picture_landmarker import PictureLandmarker
from tracker.detect.pursuit import HIDDEN_SECONDS, MISSED_SECONDS, Pursuit, as_stranger, ousted
from tracker.detect.region_search import ALONE, BESIDE, half_hidden_people
from tracker.detect.search import Searcher, SearchTask
from tracker.detect.similarity import box_overlap, pose_similarity, share_in_mask, share_on_mask, shared_box
from tracker.networks.crop_network import CropNetworks, landmarks_alone
from tracker.runtime.engine_config import EngineConfig

_LOST_LOOK_SECONDS = 0.1
"""The whole frame is looked at no more often than this while somebody is lost, or nobody known."""
_LOST_DELAY = 0.05
"""s: the longest look_delay while somebody is lost."""
_FOLLOW_SECONDS = 1.0
"""Nobody is followed over a longer gap between frames."""
_TOUCHED = 0.1
"""Of somebody's visible points, on somebody else: from here on they may be taken for part of them."""
_DOUBT = 0.5
"""What is left of the visibility of a pose that a second look does not find again."""
_FADING = 0.5
"""Part of min_tracking that is enough where somebody is seen in the place and pose of the frame before."""
_SAME_POSE = 0.7
"""Likeness of two looks at somebody who was hidden, below which one of them is mistaken."""
_ON_OTHERS = 0.5
"""Share of visible points on somebody else's mask from which a pose is taken for part of them."""
_FRAMINGS = (1.0, 1.2, 0.85, 1.45)
"""Sides of the regions, over their own, in which somebody who was found is looked at until they are seen in the same
pose: of whom half is hidden it is not known how large they are."""
_DOUBTFUL = 8
"""As many of those are remembered who were not surely there."""
_REST, _LONG_REST = 3.0, 6.0
"""Between two searches that nobody waits for there is a pause this many times as long as the search: while somebody is
lost, or nobody known, and while everybody is there."""


class LandmarkDetector:
    """MediaPipe's 33 landmarks of up to max_people people (a few more when closer looks find them), frame by frame."""

    def __init__(
        self,
        config: DetectConfig | None = None,
        engine: EngineConfig | None = None,
        networks: CropNetworks = landmarks_alone,
    ) -> None:
        """networks: what sees people's crops, and what it tells later stages.

        Raises InputError for networks that are missing or unusable, RunError when no engine runs them.
        """
        self.config = config or DetectConfig()
        engine = engine or EngineConfig()
        follower = open_follower(self.config, engine, networks)
        self._follower: Follower = follower
        self._finder: Follower = open_finder(follower, engine)
        self._searcher = Searcher(self.config, PictureLandmarker.open(self.config, engine, self._finder))
        self._scout = BackgroundSearch(self._searcher.search)
        self.forget()

    def forget(self) -> None:
        """The next frame is looked at like the first one."""
        self._followed: list[Pursuit] = []
        self._missed: list[Pursuit] = []
        self._doubtful: dict[object, Pursuit] = {}
        self._late = False
        self._seen_at = self._sent_at = -math.inf
        self._due = math.inf
        self._scout.forget()
        self._searcher.forget()

    def warm_up(self, size: tuple[int, int]) -> None:
        """Has each network look at a black picture of this (width, height) px once: the first run of one takes longer,
        on a GPU seconds. Before the first frame. Raises RunError when an engine fails."""
        black = np.zeros((size[1], size[0], 3), np.uint8)
        middle = Region(np.array(size) / 2, float(max(size)), 0.0)
        for follower in self._followers:
            follower.follow(black, [middle])
        self._searcher.warm_up(black)

    def __enter__(self) -> LandmarkDetector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def engine(self) -> str:
        """What runs the landmark network, for the record."""
        return self._follower.engine

    @property
    def device(self) -> str:
        """What that runs on."""
        return self._follower.device

    def close(self) -> None:
        """Frees the engines; the detector cannot be used afterwards."""
        self._scout.close()
        self._searcher.close()
        for follower in self._followers:
            follower.close()

    def detect(self, frame: Frame, predicted: Sequence[Array] = ()) -> list[Detection]:
        """The people in the frame, in no particular order, each once.

        predicted: xyxy px boxes where people who are being followed should be; who is not found there is looked for
        more closely. Frames come in the order of their time. Raises RunError when an engine fails.
        """
        self._late = True
        if 0 < frame.time - self._seen_at <= _FOLLOW_SECONDS:
            candidates = self._go_on(frame, predicted)
        else:
            self._followed, self._missed = [], []
            candidates = self._begin(SearchTask(frame, predicted, begins=True))
        self._pursue(frame, candidates)
        self._seen_at = frame.time
        known = {id(each.candidate): each.existence for each in self._followed}
        return [replace(candidate.detection, existence=known[id(candidate)]) for candidate in candidates]

    def _pursue(self, frame: Frame, candidates: Sequence[Candidate]) -> None:
        """Remembers whom to follow: those seen now, and for a while those who are hidden where nobody else is found."""
        known = {id(each.candidate): each for each in self._followed}
        present = [known.get(id(c)) or self._begun(frame, c, candidates) for c in candidates]
        newcomers = [each for each in present if each.begun_at == frame.time]
        self._doubt(newcomers)
        missed = [
            each
            for each in (*self._followed, *self._missed)
            if 0 < frame.time - each.seen_at <= MISSED_SECONDS
            and not any(other.is_in_place_of(each) for other in present)
            and not any(newcomer.is_dressed_as(each) for newcomer in newcomers)
        ][: self.config.max_people]
        hidden = [each for each in missed if frame.time - each.seen_at <= HIDDEN_SECONDS]
        hidden = hidden[: self.config.second_looks]
        self._followed, self._missed = (
            [*present, *hidden],
            [each for each in missed if all(each is not h for h in hidden)],
        )

    def _begun(self, frame: Frame, candidate: Candidate, candidates: Sequence[Candidate]) -> Pursuit:
        others = [each for each in candidates if each is not candidate]
        return Pursuit.begin(frame, candidate, others, self._late).going_on(self._doubtful.values())

    def detect_near(self, frame: Frame, near: Detection, others: Sequence[Detection]) -> Detection | None:
        """Who is in a frame about where somebody was in the one after it, or before it, and is not one of the others;
        None for nobody. It changes nothing of what `detect` goes on from. Raises RunError when the engine fails."""
        masks = [other.mask for other in others if other.mask is not None]
        for follower in self._followers:
            for region, painted in _crops_of(near, others):
                for candidate in self._seen_by(follower, frame, [region], painted):
                    apart = all(not is_same_person(candidate.detection, other) for other in others)
                    is_near = box_overlap(candidate.detection.bbox, near.bbox) >= FOUND_OVERLAP
                    if apart and is_near and _shows(candidate, masks):
                        return candidate.detection
        return None

    def _begin(self, errand: SearchTask) -> list[Candidate]:
        """The people of a frame that has nothing to do with the one before; nobody yet for one who does not wait."""
        self._send(errand, 0.0)
        self._late = False
        if not self.config.punctual:
            return []
        people = self._seen_closely(errand.frame, self._scout.take().people)
        return self._with_half_hidden(errand.frame, people) if math.isfinite(self.config.search_seconds) else people

    def _with_half_hidden(self, frame: Frame, people: list[Candidate]) -> list[Candidate]:
        """The people of a first picture, with those beside them whom the landmark network alone finds.

        Who is not seen in the same pose by looks framed anew is something that the person detector has taken for
        somebody, or somebody in another pose than theirs: they are left where nobody is found so in their place.
        """
        if not people:  # then the search has just looked for them
            return []
        looks = LooksAnew(self._finder, frame.image)
        judged = [each if each.detection.agreed else _as_shown(each, looks.agreeing(each)) for each in people]
        sure = [each for each in judged if each.detection.agreed]
        doubtful = [each for each in judged if not each.detection.agreed]
        if len(sure) >= self.config.max_people:
            return [*sure, *doubtful]
        image = erased(frame.image, np.maximum.reduce([each.mask.picture() for each in sure])) if sure else frame.image
        hidden = _beside(half_hidden_people(self._finder, image, self.config, BESIDE if sure else ALONE), sure)
        rest = [each for each in doubtful if not any(is_same_person(each.detection, h.detection) for h in hidden)]
        return [*sure, *hidden, *rest]

    def _seen_closely(self, frame: Frame, candidates: list[Candidate]) -> list[Candidate]:
        """The same people as the landmark network alone sees them; less visible where it does not agree."""
        return [self._closely(frame, candidate) or _doubted(candidate) for candidate in candidates]

    def _closely(self, frame: Frame, candidate: Candidate) -> Candidate | None:
        """Whom the landmark network sees in the same pose."""
        for scale in _FRAMINGS:
            region = replace(candidate.region, side=scale * candidate.region.side)
            for closely in self._follow(frame, [region]):
                if alike(closely, candidate):
                    return as_agreed(closely) if candidate.detection.agreed else closely
        return None

    def _go_on(self, frame: Frame, predicted: Sequence[Array]) -> list[Candidate]:
        candidates = without_duplicates(self._follow_apart(frame))
        lost = not candidates or bool(uncovered(predicted, candidates))
        if self._is_answer_due(frame.time, lost):
            searched, news = self._scout.errand, self._news()
            candidates = self._corrected(frame, candidates, news)
            if searched is not None:
                candidates = self._handed_over(frame, candidates, [Pursuit.begin(searched.frame, c) for c in news])
            newcomers = [c for each in news for c in self._seen_apart(frame, each, candidates)]
            candidates = the_more_expected([*candidates, *newcomers], predicted)
            lost = not candidates or bool(uncovered(predicted, candidates))
        if self._scout.errand is None and self._is_look_due(frame.time, lost):
            delay = min(self.config.look_delay, _LOST_DELAY) if lost else self.config.look_delay
            self._send(self._errand(frame, predicted, candidates), delay)
            if self.config.punctual and delay == 0:
                news = self._news()
                newcomers = self._seen_closely(frame, news)
                return the_more_expected([*self._corrected(frame, candidates, news), *newcomers], predicted)
        return candidates

    def _errand(self, frame: Frame, predicted: Sequence[Array], candidates: Sequence[Candidate]) -> SearchTask:
        absent = [each for each in self._followed if each.seen_at < frame.time]
        missed = [each.look for each in (*absent, *self._missed)]
        doubted = [each for each in self._followed if each.seen_at == frame.time and not each.existence.is_sure]
        return SearchTask(frame, predicted, candidates, doubted, missed)

    def _send(self, errand: SearchTask, delay: float) -> None:
        self._scout.send(errand)
        self._sent_at, self._due = errand.frame.time, errand.frame.time + delay

    def _is_answer_due(self, time: float, lost: bool) -> bool:
        """Once somebody is lost, an earlier search is taken at once, so that another can be sent out."""
        if self._scout.errand is None:
            return False
        if not self.config.punctual:
            return self._scout.is_ready
        return time >= self._due or (lost and self._due - time > _LOST_DELAY)

    def _is_look_due(self, time: float, lost: bool) -> bool:
        wait = min(self.config.look_seconds, _LOST_LOOK_SECONDS) if lost else self.config.look_seconds
        if not self.config.punctual:
            wait = max(wait, (1 + (_REST if lost else _LONG_REST)) * self._scout.seconds)
        return time - self._sent_at >= wait

    def _news(self) -> list[Candidate]:
        """Whom the search has found besides those who were followed when it was sent out."""
        errand, answer = self._scout.errand, self._scout.take()
        if errand is None:
            return answer.people
        self._judge(errand, answer.existences)
        self._late = not errand.begins
        known = {id(candidate) for candidate in errand.followed}
        return [candidate for candidate in answer.people if id(candidate) not in known]

    def _judge(self, errand: SearchTask, existences: Mapping[object, Existence]) -> None:
        """Takes what looks at the doubted ones have shown."""
        time = errand.frame.time
        self._followed = [p.looked_at(time, existences[p.key]) if p.key in existences else p for p in self._followed]
        lost = {p.key: p.looked_at(time, existences[p.key]) for p in errand.doubted}
        self._doubt([*lost.values(), *(p for p in self._followed if p.key in existences)])

    def _doubt(self, pursuits: Iterable[Pursuit]) -> None:
        """Remembers those who are not surely there."""
        known = self._doubtful | {p.key: p for p in pursuits if p.existence.looks}
        latest = sorted(known.values(), key=lambda pursuit: pursuit.seen_at)[-_DOUBTFUL:]
        self._doubtful = {p.key: p for p in latest if not p.existence.is_sure}

    def _corrected(self, frame: Frame, candidates: list[Candidate], news: Sequence[Candidate]) -> list[Candidate]:
        """Without those on whom looks framed anew have not agreed, where they have agreed on somebody else instead."""
        doubtful = {id(p.candidate) for p in self._followed if not p.agreed}
        agreed = [each.region for each in news if each.detection.agreed]
        instead = self._follow(frame, agreed) if doubtful else []
        return [c for c in candidates if id(c) not in doubtful or not any(_is_instead(each, c) for each in instead)]

    def _handed_over(self, frame: Frame, candidates: list[Candidate], newcomers: Sequence[Pursuit]) -> list[Candidate]:
        """The candidates; who is seen in other clothes than theirs, and in those of a newcomer, is the newcomer: they
        themselves are hidden behind them."""
        slid = {}
        for i, pursuit in enumerate(self._followed):
            if newcomers and pursuit.is_covered and pursuit.seen_at == frame.time:
                look = appearance_of(frame.image, pursuit.candidate.detection)
                if any(each.wears(look) for each in newcomers):
                    slid[id(pursuit.candidate)] = as_stranger(pursuit.candidate)
                    self._followed[i] = pursuit.hidden(self._seen_at)
        return [slid.get(id(c), c) for c in candidates]

    def _follow_apart(self, frame: Frame) -> list[Candidate]:
        """Those who are followed, each in their own crop, and whoever was found in one of them instead.

        Who is not seen, or is seen where somebody else is or in other clothes, is looked for once more with the others
        painted out.
        """
        pursuits, self._followed = self._followed, []
        seen_last = [each.seen_at == self._seen_at for each in pursuits]
        kept = iter(self._kept(frame, [p for p, last in zip(pursuits, seen_last, strict=True) if last]))
        answers = self._told_apart(frame, pursuits, [next(kept) if last else None for last in seen_last])
        looks = {id(c): appearance_of(frame.image, c.detection) for c in answers if c is not None}
        strange = {i for i, c in enumerate(answers) if c is not None and pursuits[i].is_other(c, looks[id(c)])}
        own = [None if i in strange else c for i, c in enumerate(answers)]
        out = ousted(pursuits, own, looks)
        own = [None if i in out else c for i, c in enumerate(own)]
        known = [c for c in own if c is not None]
        intruders = [as_stranger(c) for i in sorted(strange) if (c := answers[i]) is not None]
        intruders = _beside(without_duplicates(intruders), known)
        for i, pursuit in enumerate(pursuits):
            candidate = own[i]
            if candidate is None and (known or intruders or not seen_last[i]):
                candidate = self._uncovered(frame, pursuit, [*known, *intruders])
                if candidate is None and i in strange and len(pursuits) + len(self._missed) == 1:
                    # who has been alone, and is seen nowhere else, has something before them, and not taken their leave
                    candidate, intruders = answers[i], []
                known = known if candidate is None else [*known, candidate]
            if candidate is not None:
                look = looks.get(id(candidate)) or appearance_of(frame.image, candidate.detection)
                pursuit = pursuit.then(frame.time, candidate, look)
            self._followed.append(pursuit)
        return [*(p.candidate for p in self._followed if p.seen_at == frame.time), *intruders]

    def _told_apart(
        self, frame: Frame, pursuits: Sequence[Pursuit], answers: Sequence[Candidate | None]
    ) -> list[Candidate | None]:
        """Who is in each one's crop. Networks make one pose of two people who are close together: whoever seems to be
        on others, who are more where they were, is looked at without them, too, and is where they are more as they
        were."""
        likeness = [0.0 if c is None else p.likeness(c) for p, c in zip(pursuits, answers, strict=True)]
        best = list(answers)
        for i, (pursuit, answer) in enumerate(zip(pursuits, answers, strict=True)):
            steadier = [c for k, c in enumerate(answers) if c is not None and likeness[k] > likeness[i]]
            if answer is not None and (touched := [c for c in steadier if _share_on(answer, c) >= _TOUCHED]):
                alone = self._without(frame, pursuit.candidate.region, touched)
                best[i] = max((answer, *alone), key=pursuit.likeness)
        return best

    def _kept(self, frame: Frame, pursuits: Sequence[Pursuit]) -> list[Candidate | None]:
        """Who is in each crop of somebody seen in the last frame. Of whom the follower loses, the finder is asked."""
        kept = self._kept_by(self._follower, frame, pursuits)
        lost = [pursuit for pursuit, candidate in zip(pursuits, kept, strict=True) if candidate is None]
        if not lost or self._finder is self._follower:
            return kept
        anew = iter(self._kept_by(self._finder, frame, lost))
        return [next(anew) if candidate is None else candidate for candidate in kept]

    @property
    def _followers(self) -> Sequence[Follower]:
        """Who follows, and who is asked of whom that one loses."""
        return [self._follower] if self._finder is self._follower else [self._follower, self._finder]

    def _kept_by(self, follower: Follower, frame: Frame, pursuits: Sequence[Pursuit]) -> list[Candidate | None]:
        answers = follower.follow(frame.image, [each.candidate.region for each in pursuits])
        return [self._if_kept(frame, *each) for each in zip(pursuits, answers, strict=True)]

    def _if_kept(self, frame: Frame, pursuit: Pursuit, answer: Followed) -> Candidate | None:
        """Who stays where they were need not be as plain."""
        candidate = _followed(answer, frame.size)
        enough = self.config.min_tracking * (_FADING if pursuit.is_in_place(candidate) else 1.0)
        return candidate if answer.presence >= enough and is_person(candidate) else None

    def _uncovered(self, frame: Frame, pursuit: Pursuit, others: Sequence[Candidate]) -> Candidate | None:
        """Somebody who was not seen, or not plainly: in their last crop without the others, and once more in the crop
        that is theirs then; None for nobody."""
        for candidate in self._behind(frame, pursuit, pursuit.own.region, others):
            look = appearance_of(frame.image, candidate.detection)
            if pursuit.is_other(candidate, look) or pursuit.is_too_far(frame.time, candidate):
                continue
            if pursuit.seen_at == self._seen_at and pursuit.is_in_place(candidate):
                return candidate
            for again in self._behind(frame, pursuit, candidate.region, others):
                if pose_similarity(again.detection.landmarks2d, candidate.detection.landmarks2d) >= _SAME_POSE:
                    return again
        return None

    def _seen_apart(self, frame: Frame, news: Candidate, others: Sequence[Candidate]) -> list[Candidate]:
        """Who is by now where somebody was seen, the others painted out where nobody or one of them is seen."""
        plain = [c for c in self._follow(frame, [news.region]) if not any(alike(c, other) for other in others)]
        people = plain or self._painted_out(frame, news.region, others)
        return [as_agreed(each) for each in people] if news.detection.agreed else people

    def _behind(self, frame: Frame, pursuit: Pursuit, region: Region, others: Sequence[Candidate]) -> list[Candidate]:
        """Who is in a region without the others, as `_beside`. The mask of somebody who touches them may be over both:
        who wears this person's clothes and none of the others' is not part of it."""
        people = self._without(frame, region, others)
        beside = _beside(people, others)
        apart = [c for c in people if not any(is_same_person(c.detection, o.detection) for o in others)]
        touched = [c for c in apart if all(c is not each for each in beside)]
        worn = [appearance_of(frame.image, other.detection) for other in others] if touched else []
        return [*beside, *(c for c in touched if pursuit.is_told_from(worn, appearance_of(frame.image, c.detection)))]

    def _painted_out(self, frame: Frame, region: Region, others: Sequence[Candidate]) -> list[Candidate]:
        """Who is in a region without the others, and beside them."""
        return _beside(self._without(frame, region, others), others)

    def _without(self, frame: Frame, region: Region, others: Sequence[Candidate]) -> list[Candidate]:
        """Who is in a region where the others are painted out."""
        masks = [c.mask for c in others if shared_box(c.detection.bbox, region.box) > 0]
        return self._follow(frame, [region], masks)

    def _follow(self, frame: Frame, regions: Sequence[Region], painted: Sequence[PlacedMask] = ()) -> list[Candidate]:
        """Whoever is in these regions when the painted people are not."""
        return self._seen_by(self._follower, frame, regions, painted)

    def _seen_by(
        self, follower: Follower, frame: Frame, regions: Sequence[Region], painted: Sequence[PlacedMask]
    ) -> list[Candidate]:
        answers = follower.follow(frame.image, regions, painted)
        sure = (each for each in answers if each.presence >= self.config.min_tracking)
        return list(filter(is_person, (_followed(each, frame.size) for each in sure)))


def _crops_of(near: Detection, others: Sequence[Detection]) -> Iterator[tuple[Region, list[PlacedMask]]]:
    """Where to look for somebody in the next frame, and who is painted out there: nobody, then the others."""
    regions = [Region.around(near.landmarks2d)]
    if near.crop is not None and "landmarks" in near.crop.maps:
        regions.append(Region.after(near.crop))
    for region in regions:
        masks = [o.mask for o in others if o.mask is not None and shared_box(o.bbox, region.box) > 0]
        yield region, []
        if masks:
            yield region, masks


def _beside(candidates: Sequence[Candidate], others: Sequence[Candidate]) -> list[Candidate]:
    """Those who are none of the others and do not lie on one of them."""
    return [
        c
        for c in candidates
        if all(not is_same_person(c.detection, o.detection) for o in others)
        and all(_share_on(c, o) < _ON_OTHERS for o in others)
    ]


def _share_on(candidate: Candidate, other: Candidate) -> float:
    """How much of what is seen of somebody lies on somebody else."""
    return share_on_mask(candidate.visible_points, other.mask, 0.0)


def _is_instead(candidate: Candidate, other: Candidate) -> bool:
    """Whether both are one person, in two poses: most of the other's silhouette is the candidate's."""
    return share_in_mask(other.mask, candidate.mask) >= _ON_OTHERS and not alike(candidate, other)


def _shows(candidate: Candidate, others: Sequence[PlacedMask]) -> bool:
    """Whether enough of somebody lies beside the others, and is not a guess of what is behind them."""
    return all(share_in_mask(candidate.mask, other) < _ON_OTHERS for other in others)


def _as_shown(candidate: Candidate, agreeing: int) -> Candidate:
    """Somebody in the first picture, with what looks framed anew have shown of them."""
    existence = Existence((Look(agreeing / LOOKS, moved=0.0),))
    detection = replace(candidate.detection, agreed=agreeing >= AGREEING, existence=existence)
    return replace(candidate, detection=detection)


def _doubted(candidate: Candidate) -> Candidate:
    """Nobody is given an identity at once for this alone."""
    detection = candidate.detection
    return replace(candidate, detection=replace(detection, visibility=_DOUBT * detection.visibility))


def _followed(answer: Followed, size: tuple[int, int]) -> Candidate:
    return candidate_of(in_frame(answer.reading, answer.crop.T_frame_crop, size), size, answer)

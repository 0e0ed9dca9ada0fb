"""Where devices may be: inside a shell, or outdoors where there is an outdoors."""

from __future__ import annotations

import numpy as np
import shapely

from twin.scene.checks.site import TOUCH_M, Mask, Points, Shell, Site
from twin.scene.obstacles import CLEARANCE_M, outdoors_of

_SLACK_M = 1e-9


def outside_of(
    site: Site, points: Points, storey: str | None = None, *, outdoors: bool = False
) -> tuple[Mask, str]:
    """Which of the points (n, 3) are where no device can be, and where they should be instead.

    With a storey they have to be in it; without, in any shell or, where there is one, outdoors.

    Args:
        site: the scene under check.
        points: (n, 3) [m].
        storey: name of a storey.
        outdoors: whether they have to be outdoors.
    """
    clear = f"{CLEARANCE_M:g} m clear of"
    shell = site.shell(storey)
    if storey is not None and shell is not None:
        return ~_inside(site, shell, points), _of_shell(shell, clear)
    inside = np.zeros(len(points), dtype=np.bool_)
    for each in site.shells:
        inside |= _inside(site, each, points)
    if not site.is_open:
        if len(site.shells) == 1:
            return ~inside, _of_shell(site.shells[0], clear)
        return ~inside, f"a place inside a storey, {clear} its walls, floor and ceiling"
    free = outdoors_of(site.scene, points)
    ground = site.scene.ground is not None
    if not site.shells:
        return ~free, f"a place {clear} the ground (z = 0)"
    if outdoors:
        return ~free, f"a place outdoors, {clear} all walls" + " and the ground" * ground
    why = f"a place inside a shell, or outdoors and {clear} its walls" + " and the ground" * ground
    return ~inside & ~free, why


def _of_shell(shell: Shell, clear: str) -> str:
    what = "the room" if shell.key == "room" else f"storey {shell.storey.name!r}"
    return (
        f"a place inside {what}, {clear} its walls, floor and ceiling "
        f"({shell.bottom_m:g} to {shell.top_m:g} m)"
    )


def _inside(site: Site, shell: Shell, points: Points) -> Mask:
    """Which of the points (n, 3) are inside a shell and clear of it; open air under voids is."""
    plan = shapely.points(points[:, :2])
    reach = CLEARANCE_M - _SLACK_M
    mask = shapely.contains(shell.built, plan)
    mask &= shapely.distance(shell.built.exterior, plan) >= reach
    mask &= (points[:, 2] >= shell.bottom_m) & (points[:, 2] <= shell.top_m)
    low = points[:, 2] < shell.bottom_m + reach
    high = points[:, 2] > shell.top_m - reach
    if low.any():
        mask[low] &= _in_void(shell, plan[low])
    if high.any():
        above = [other for other in site.shells if abs(other.bottom_m - shell.top_m) <= TOUCH_M]
        open_up = np.zeros(int(high.sum()), dtype=np.bool_)
        for other in above:
            open_up |= _in_void(other, plan[high])
        mask[high] &= open_up
    return np.asarray(mask)


def _in_void(shell: Shell, plan: Points) -> Mask:
    mask = np.zeros(len(plan), dtype=np.bool_)
    for void in shell.storey.voids_m:
        hole = shapely.Polygon(void)
        if hole.is_valid:
            mask |= shapely.contains(hole, plan) & (
                shapely.distance(hole.exterior, plan) >= CLEARANCE_M
            )
    return mask

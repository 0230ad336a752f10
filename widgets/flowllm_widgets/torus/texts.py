"""Explanations of the steps, with the equations that the code implements."""

from __future__ import annotations

from flowllm_widgets.torus.matching import WIDTH

X, Y, T, U, W = "<i>x</i>", "<i>y</i>", "<i>t</i>", "<i>u</i>", "<i>ω</i>"
X0, X1, XT = "<i>x</i><sub>0</sub>", "<i>x</i><sub>1</sub>", "<i>x<sub>t</sub></i>"
UT, PT, ZI = "<i>u<sub>t</sub></i>", "<i>p<sub>t</sub></i>", "<i>z<sub>i</sub></i>"
LOG = f"log<sub>{X0}</sub>({X1})"
SUM = "Σ<sub><i>i</i></sub>"

GEODESIC = f"""
Fractional coordinates live on a torus: what leaves the cell on one side enters it on the other, so
0.99 and 0.01 are neighbours. The logarithm gives the shortest path from {X} to {Y}; for each
coordinate, with {W} = 2π({Y} − {X}):<br>
log<sub>{X}</sub>({Y}) = atan2(sin {W}, cos {W}) / 2π, &emsp;
exp<sub>{X}</sub>({U}) = {X} + {U} − ⌊{X} + {U}⌋ &emsp;
(FlowMM, section 3; <code>flowllm.manifolds.FlatTorus</code>).<br>
Drag {X} and {Y}, or focus one and use the arrow keys (with Shift ten times as far). The blue line
leaves through one edge and enters through the opposite one; the pale copies around the square are
the same points in the neighbouring cells. The dashed red line ignores this."""

PATHS = f"""
<p>Flow matching learns a velocity that moves the base to the target. Each pair ({X0}, {X1}) has
a <b>conditional path</b>, its geodesic<br>{XT} = exp<sub>{X0}</sub>({T} {LOG}).</p>
<p><b>One pair.</b> {UT}({X} | {X1}) = log<sub>{X}</sub>({X1}) / (1 − {T}) moves every point of
the torus to {X1} (Chen &amp; Lipman, section 3). It jumps where both ways around are equally
long.</p>
<p><b>All pairs.</b> The marginal velocity is the mean over pairs {ZI} = ({X0}, {X1}),
each weighted by its probability of passing here at this time:<br>
{UT}({X}) = {SUM} {UT}({X} | {ZI}) {PT}({X} | {ZI}) / {SUM} {PT}({X} | {ZI})<br>
(Lipman et al., equation 8; each path is a Gaussian of width {WIDTH} about its geodesic). It moves
the whole base to the target, and a network learns it from conditional velocities. Arrows are left
out where hardly any path passes; long ones are truncated.</p>"""

TRAINING = f"""
A small network sees sines and cosines of {X} and learns <i>v</i>({T}, {X}) from batches of 256
pairs with the loss |<i>v</i>({T}, {XT}) − {LOG}|², {T} uniform (Chen &amp; Lipman, section 3). It
cannot reach 0: where paths cross, there is one velocity for all. The dotted line is the loss of the
exact marginal velocity, the dashed one that of the best constant. Samples flow from the base with
<code>flowllm.methods.flow.ode.integrate</code>."""

WRAP = f"""
The same training twice, the second time with straight lines {X1} − {X0} and a network for which
opposite edges are far apart. Neighbours across an edge are then joined by a path through the whole
cell, velocities are larger, so the solver needs more steps, and what is one piece on the torus has
to be assembled from parts on opposite sides. Moreover, the result depends on the origin of the
cell, which is our choice and not a property of the crystal."""

F0, FT, SIGMA = "<i>f</i><sub>0</sub>", "<i>f<sub>t</sub></i>", "<i>σ<sub>t</sub></i>"
DIFFUSION = f"""
<p>DiffCSP reaches the same torus another way. <b>Forward</b>, noise is added and wrapped,
{FT} = w({F0} + {SIGMA} <i>ε</i>), until it is uniform. Its density on the circle is the
<b>wrapped normal</b>, Σ<sub><i>k</i></sub> N({FT} − {F0} + <i>k</i>; 0, {SIGMA}²), and the
<b>score</b> is the slope of its logarithm: it points back to {F0} along the shorter way, and is 0
where both ways are equally long (<code>flowllm.manifolds.wrapped_normal</code>).</p>
<p><b>Back</b>, the score moves each point uphill, and fresh noise, less at each level, keeps the
points from collapsing to one place (predictor); a step of Langevin dynamics before it lets them
settle at each level (corrector). A network learns the score; here it is exact, as is the velocity
of the flow beside it, and a few steps suffice for both. An exact score of finitely many points
leads back to these very points: new crystals arise only because a network learns it less
exactly.</p>"""

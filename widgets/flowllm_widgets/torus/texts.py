"""What the steps explain, with the equations that the code implements."""

from __future__ import annotations

from flowllm_widgets.torus.matching import WIDTH

X, Y, T, U, W = "<i>x</i>", "<i>y</i>", "<i>t</i>", "<i>u</i>", "<i>ω</i>"
X0, X1, XT = "<i>x</i><sub>0</sub>", "<i>x</i><sub>1</sub>", "<i>x<sub>t</sub></i>"
UT, PT, ZI = "<i>u<sub>t</sub></i>", "<i>p<sub>t</sub></i>", "<i>z<sub>i</sub></i>"
LOG = f"log<sub>{X0}</sub>({X1})"
SUM = "Σ<sub><i>i</i></sub>"

GEODESIC = f"""
Fractional coordinates live on a torus: what leaves the cell on one side enters it on the other, so
0.99 and 0.01 are neighbours. The short way from {X} to {Y} is the logarithm, per coordinate and
with {W} = 2π({Y} − {X}):<br>
log<sub>{X}</sub>({Y}) = atan2(sin {W}, cos {W}) / 2π, &emsp;
exp<sub>{X}</sub>({U}) = {X} + {U} − ⌊{X} + {U}⌋ &emsp;
(FlowMM, section 3; <code>flowllm.manifolds.FlatTorus</code>).<br>
Drag {X} and {Y}, or focus one and use the arrow keys (with Shift ten times as far). The blue line
leaves one edge and enters the opposite one; the pale copies around the square are the same points
in the neighbouring cells. The dashed red line is what one gets by forgetting that."""

PATHS = f"""
<p>Flow matching learns a velocity that carries the base to the target. Each pair ({X0}, {X1}) has
a <b>conditional path</b>, its geodesic<br>{XT} = exp<sub>{X0}</sub>({T} {LOG}).</p>
<p><b>One pair.</b> {UT}({X} | {X1}) = log<sub>{X}</sub>({X1}) / (1 − {T}) brings every point of
the torus to {X1} (Chen &amp; Lipman, section 3). It jumps where both ways around are as
long.</p>
<p><b>All pairs.</b> The marginal velocity is the mean over pairs {ZI} = ({X0}, {X1}),
each weighted by how likely it is to pass here now:<br>
{UT}({X}) = {SUM} {UT}({X} | {ZI}) {PT}({X} | {ZI}) / {SUM} {PT}({X} | {ZI})<br>
(Lipman et al., equation 8; each path is a Gaussian of width {WIDTH} about its geodesic). It moves
the whole base to the target, and it is what a network learns from conditional velocities. No arrow
is drawn where hardly a path passes; long ones are cut short.</p>"""

TRAINING = f"""
A small network sees sines and cosines of {X} and learns <i>v</i>({T}, {X}) from batches of 256
pairs by the loss |<i>v</i>({T}, {XT}) − {LOG}|², {T} uniform (Chen &amp; Lipman, section 3). It
cannot reach 0: where paths cross, one velocity must do for all. The dotted line is the loss of the
exact marginal velocity, the dashed one that of the best constant. Samples flow from the base by
<code>flowllm.methods.flow.ode.integrate</code>."""

WRAP = f"""
The same training twice, the second time with straight lines {X1} − {X0} and a network for which
opposite edges are far apart. Neighbours across an edge are then joined by a path through the whole
cell, velocities are larger, so the solver needs more steps, and what is one piece on the torus has
to be put together from parts on opposite sides. And the result depends on where the cell begins,
which is a choice of ours, not of the crystal."""

F0, FT, SIGMA = "<i>f</i><sub>0</sub>", "<i>f<sub>t</sub></i>", "<i>σ<sub>t</sub></i>"
DIFFUSION = f"""
<p>DiffCSP reaches the same torus another way. <b>Forward</b>, noise is added and wrapped,
{FT} = w({F0} + {SIGMA} <i>ε</i>), until every place is alike. Its density on the circle is the
<b>wrapped normal</b>, Σ<sub><i>k</i></sub> N({FT} − {F0} + <i>k</i>; 0, {SIGMA}²), and the
<b>score</b> is the slope of the logarithm: it points back to {F0} by the shorter way, and is 0
where both ways are as long (<code>flowllm.manifolds.wrapped_normal</code>).</p>
<p><b>Back</b>, the score leads each point uphill, and new noise, less at each level, keeps the
points from collapsing on one place (predictor); a step of Langevin dynamics before it lets them
settle on each level (corrector). A network learns the score; here it is exact, and so is the
velocity of the flow beside it, and a few steps do for both. An exact score of finitely many points
leads back to these very points: what makes new crystals is that a network does not know it so
well.</p>"""

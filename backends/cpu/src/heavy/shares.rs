//! How a convolution's results are shared by threads: whole sets of images, each followed by its body; or, where there are
//! few, blocks of lines times parts of the output's channels.

use super::Job;
use crate::crew::Crew;

/// Images in sets, each in bands of lines; the output's channels in panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    batch: usize,
    /// Images of a set.
    images: usize,
    bands: usize,
    panels: usize,
    /// Parts of the panels; 1 where one task is a whole set.
    parts: usize,
    whole: bool,
}

/// A task's images (first and end), band, and panels (first and end).
pub(super) type Share = ([usize; 2], usize, [usize; 2]);

impl Shares {
    pub(super) fn new([batch, images, bands, panels]: [usize; 4], threads: usize) -> Shares {
        let whole = batch.div_ceil(images) >= 2 * threads;
        let parts = if whole { 1 } else { (2 * threads).min(panels) };
        Shares { batch, images, bands, panels, parts, whole }
    }

    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Calls `block(share, scratch)` for everything, and the body over what is finished; an image has `image_out` results.
    pub(super) fn run(
        &self,
        crew: &mut Crew,
        job: &Job<'_>,
        (total, image_out): (usize, usize),
        block: impl Fn(Share, *mut u8) + Sync,
    ) -> bool {
        let sets = self.batch.div_ceil(self.images);
        let range = |set: usize| [set * self.images, ((set + 1) * self.images).min(self.batch)];
        if self.whole {
            return crew.run(sets, total, |set, scratch| {
                let [from, to] = range(set);
                let room = scratch.wrapping_add(job.room);
                (0..self.bands).for_each(|band| block(([from, to], band, [0, self.panels]), room));
                job.finish(scratch, from * image_out, to * image_out);
            });
        }
        let each = self.panels.div_ceil(self.parts);
        let ran = crew.run(sets * self.bands * self.parts, total, |task, scratch| {
            let (part, rest) = (task % self.parts, task / self.parts);
            let panels = [part * each, ((part + 1) * each).min(self.panels)];
            block((range(rest / self.bands), rest % self.bands, panels), scratch.wrapping_add(job.room));
        });
        ran && job.finish_all(crew)
    }
}

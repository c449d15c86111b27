// The views of the page, in the order of their tabs. All share the controls on the left; only the open one asks and computes. A view is one module:
//
//   export const view = {
//     name: "drivers",           its word in the link, and behind api/ (`asks` where that is another)
//     title: "What drives it",   on its tab
//     start: { endpoint: "" },   its own fields (texts, numbers, true or false) where nobody says; they are kept in the link
//     build(panel, page) {},     lay its elements, once, when it is first opened
//     question(page, preview) {  what it asks beside what all views share; by default its own fields. A text instead says why there is
//       return {...};            nothing to ask yet. preview: an answer from fewer subjects will do, one whose `subjects` are less than `of`
//     },
//     show(answer, page) {},     draw an answer: whenever one comes, when the view is opened again, and when only the picture changes (`page.redraw`)
//     rest() {},                 draw what of a preview was left for later, if anything was
//   };
//
// `page` is what app.js gives it:
//
//   facts             what the server says at start: outputs, published points, doses, units, limits …
//   state             schedules, bsa, responders, subjects, days, show: what all views share
//   own(view)         the view's own fields, to read and to change
//   changed(event)    something that is asked for has changed: ask again, and give up what is under way. The answer's time counts from the event
//   redraw()          something has changed that only the picture depends on
//   whole()           wait until the shown answer is from all subjects: before anything leaves the page
//   say(sentence)     to those who listen
//   fail(sentence)    over the view
//   theme()           colours of the picture, LIGHT or DARK of charts.js
//
// An answer is the server's (`views.py`), with what `Explorer.told` says, and in `asked` what it was asked; its `command`, if it has one, is shown below the view, and `people` is what its subjects are, where
// they are no virtual subjects. A refusal whose `field`
// is one of the view's own is shown in the element of its panel that has it as data-field.

import { view as courses } from "./courses.js";
import { view as drivers } from "./drivers.js";
import { view as person } from "./person.js";
import { view as response } from "./response.js";
import { view as target } from "./target.js";
import { view as why } from "./why.js";

export const VIEWS = [courses, response, target, drivers, why, person];
